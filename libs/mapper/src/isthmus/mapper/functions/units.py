"""Functions on units: sizes of data, spans of time, temperatures, shares."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.casts import in_range
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, checked_number, function, need_number, need_text

_AREA = "units"
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DATA = {name: float(1000**power) for power, name in enumerate(_DECIMAL)}
_DATA |= {name: float(1024**power) for power, name in enumerate(_BINARY)}
_RATES = {f"{name}/s": 8 * size for name, size in _DATA.items()}
_RATES |= {
    name: float(1000**power) for power, name in enumerate(("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))
}
_TIME = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_SHARES = {"fraction": 1.0, "percent": 0.01, "permille": 0.001, "basis_points": 0.0001, "ppm": 1e-6}
_TEMPERATURES = {"K": (1.0, 0.0), "C": (1.0, 273.15), "F": (5 / 9, 459.67 * 5 / 9)}
_FAMILIES: tuple[dict[str, tuple[float, float]], ...] = (
    *({name: (size, 0.0) for name, size in sizes.items()} for sizes in (_DATA, _RATES, _TIME, _SHARES)),
    _TEMPERATURES,
)
_UNITS = tuple(name for family in _FAMILIES for name in family)
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]{0,9})", re.ASCII)
_SPELLED = {name.lower(): size for name, size in _DATA.items()}
_SPELLED |= {name[0].lower(): size for name, size in _DATA.items() if name in _DECIMAL[1:]}
_SPELLED |= {name[:2].lower(): size for name, size in _DATA.items() if name in _BINARY[1:]}
_SPELLED |= {"": 1.0, "byte": 1.0, "bytes": 1.0}
_LONGEST = 60


@function(
    "convert_unit",
    Param("from", "choice", options=_UNITS),
    Param("to", "choice", options=_UNITS),
    area=_AREA,
    takes="number",
    returns="number",
    cel="units.convert",
    example=({"convert_unit": ["GiB", "MB"]}, 1.5, 1610.612736),
    also=(
        ({"convert_unit": ["ms", "s"]}, 1500, 1.5),
        ({"convert_unit": ["C", "F"]}, 100, 212.0),
        ({"convert_unit": ["fraction", "percent"]}, 0.07, 7.0),
    ),
)
def convert_unit(source: str, target: str) -> Step:
    """Turns an amount of one unit into another of its kind: data, rates, time, shares, temperatures."""
    family = next(family for family in _FAMILIES if source in family)
    if target not in family:
        raise ValueError(f"{source} and {target} measure different things; take one of {', '.join(family)}.")
    (size, start), (other_size, other_start) = family[source], family[target]

    def step(value: Any) -> float:
        made = ((need_number(value) * size + start) - other_start) / other_size
        # Twelve digits: what is beyond them comes from reckoning in binary and not from the source.
        return float(checked_number(float(f"{made:.12g}")))

    return step


@function(
    "parse_bytes",
    area=_AREA,
    takes="string",
    returns="integer",
    cel="units.parseBytes",
    example=("parse_bytes", "1.5 GiB", 1_610_612_736),
    also=(("parse_bytes", "20k", 20_000), ("parse_bytes", "512", 512)),
)
def parse_bytes() -> Step:
    """Reads a size of data in any unit and gives bytes: k, M, G are powers of 1000, Ki, Mi, Gi of 1024."""

    def step(value: Any) -> int:
        text = need_text(value).strip()
        found = _SIZE.fullmatch(text.replace(",", "")) if len(text) <= _LONGEST else None
        size = _SPELLED.get(found[2].lower()) if found else None
        if found is None or size is None:
            raise Refusal("NOT_SIZE", "The text is no size of data such as 1.5 GiB, 20 kB or 512.")
        amount = found[1]
        return in_range(int(amount) * int(size) if amount.isdigit() else round(float(amount) * size))

    return step


@function(
    "format_bytes",
    Param("style", "choice", "binary", options=("binary", "decimal")),
    Param("digits", "whole", 1, low=0, high=9),
    area=_AREA,
    takes="number",
    returns="string",
    cel="units.formatBytes",
    example=("format_bytes", 1_610_612_736, "1.5 GiB"),
    also=(({"format_bytes": ["decimal", 2]}, 1_610_612_736, "1.61 GB"), ("format_bytes", 512, "512 B")),
)
def format_bytes(style: str, digits: int) -> Step:
    """Writes bytes in the largest unit of which there is at least one."""
    names, step_size = (_BINARY, 1024) if style == "binary" else (_DECIMAL, 1000)

    def step(value: Any) -> str:
        amount = need_number(value)
        power = 0
        shown: float = amount
        while abs(shown) >= step_size and power < len(names) - 1:
            shown /= step_size
            power += 1
        return f"{shown:.{digits if power else 0}f} {names[power]}"

    return step
