"""A figure, what it must be and what it should be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from comparison.series import Series

__all__ = ["HEADINGS", "Measured", "bulk_figures", "rows"]

HEADINGS = ["figure", "measured", "at least", "aim", "verdict"]
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """One figure.

    Attributes:
        what: The figure in words.
        value: What was measured.
        least: What it must reach.
        aim: What it should reach.
        unit: What stands behind the numbers.
        digits: Digits behind the point.
        is_sound: Whether what was measured did the whole job; otherwise the figure does not hold.
        is_cost: Whether less of it is better.
    """

    what: str
    value: float
    least: float
    aim: float
    unit: str = ""
    digits: int = 2
    is_sound: bool = True
    is_cost: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal is reached."""
        sign = -1 if self.is_cost else 1
        if not self.is_sound or sign * self.value < sign * self.least:
            return "does not hold"
        return "aim reached" if sign * self.value >= sign * self.aim else "holds"

    @property
    def row(self) -> list[str]:
        """The figure as a row of the table."""
        numbers = [self._text(number) for number in (self.value, self.least, self.aim)]
        return [self.what, *numbers, self.verdict]

    @classmethod
    def failed(cls, name: str, reason: str) -> Measured:
        """Stands for a figure that could not be measured."""
        return cls(f"{name}: {reason}", math.nan, math.nan, math.nan, is_sound=False)

    def _text(self, number: float) -> str:
        return "–" if math.isnan(number) else f"{number:,.{self.digits}f}{self.unit}"


def rows(figures: Iterable[Measured]) -> list[list[str]]:
    """Gives headings and rows of the table of figures."""
    return [HEADINGS, *(figure.row for figure in figures)]


def bulk_figures(series: Series) -> list[Measured]:
    """Sets the figures of a series beside their goals, as far as it has the runners."""
    size = f"at {series.records:,} records"
    found = [
        Measured(f"{one} ÷ {other}, {size}", series.ratio(one, other), least, aim)
        for one, other, least, aim in (
            ("postgres", "reference", 0.70, 0.95),
            ("hub", "postgres", 0.85, 0.85),
            ("postgres", "dlt-adbc", 2.0, 2.7),
            ("postgres", "dlt-arrow", 2.0, 2.7),
            ("postgres", "dlt", 4.5, 7.0),
            ("postgres", "singer", 4.0, 6.0),
        )
        if one in series.runs and other in series.runs
    ]
    for name in ("postgres", "hub"):
        if name in series.runs:
            cpu, peak = series.median(name, "cpu_micros"), series.median(name, "peak_bytes") / _MEGABYTE
            what = f"CPU of our processes, {name}, {size}"
            found.append(Measured(what, cpu, 14, 9, " µs/record", 1, is_cost=True))
            found.append(Measured(f"peak PSS, {name}, {size}", peak, 220, 140, " MB", 0, is_cost=True))
    return found
