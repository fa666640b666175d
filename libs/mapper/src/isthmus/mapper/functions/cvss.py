"""Functions on vectors of the Common Vulnerability Scoring System, versions 2.0, 3.0, 3.1 and 4.0."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_number, need_text

_AREA = "cvss"
_LONGEST = 400
_METRIC = re.compile(r"[A-Za-z]{1,3}:[A-Za-z]{1,6}", re.ASCII)
_BASE = {
    "2": ("AV", "AC", "Au", "C", "I", "A"),
    "3": ("AV", "AC", "PR", "UI", "S", "C", "I", "A"),
    "4": ("AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"),
}
_THREAT = {"2": ("E", "RL", "RC"), "3": ("E", "RL", "RC"), "4": ("E",)}
_KINDS = ("base", "threat", "all")
_RATINGS = ((9.0, "Critical"), (7.0, "High"), (4.0, "Medium"), (0.1, "Low"), (0.0, "None"))
_EXAMPLE = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U"


@lru_cache(maxsize=256)
def _parsed(vector: str) -> Any:
    """The library's view of a vector; it is asked only for what looks like one."""
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError  # type: ignore[import-untyped]

    major = _major(vector)
    makers = {"2": CVSS2, "3": CVSS3, "4": CVSS4}
    metrics = vector.split("/")[0 if major == "2" else 1 :]
    try:
        if all(map(_METRIC.fullmatch, metrics)):
            return makers[major](vector)
    except CVSSError:
        pass
    raise _no_vector()


def _major(vector: str) -> str:
    return vector[5] if vector[:8] in {"CVSS:3.0", "CVSS:3.1", "CVSS:4.0"} else "2"


def _vector(value: Any) -> str:
    text = need_text(value).strip().removeprefix("(").removesuffix(")").removeprefix("CVSS2#")
    if len(text) > _LONGEST:
        raise _no_vector()
    return text


def _no_vector() -> Refusal:
    return Refusal("NOT_CVSS", "The text is no CVSS vector of version 2.0, 3.0, 3.1 or 4.0; mend the source.")


def _only(vector: str, kind: str) -> str:
    """The vector without the metrics that do not count."""
    major = _major(vector)
    if kind == "all":
        return vector
    counted = _BASE[major] + (_THREAT[major] if kind == "threat" else ())
    parts = vector.split("/")
    return "/".join(part for part in parts if part[:5] == "CVSS:" or part.partition(":")[0] in counted)


def _score(vector: str, kind: str) -> float:
    _parsed(vector)
    found = _parsed(_only(vector, kind)).scores()
    return float(next(score for score in reversed(found) if score is not None))


def _rating(score: float) -> str:
    return next(name for least, name in _RATINGS if score >= least)


@function(
    "is_cvss",
    area=_AREA,
    takes="string",
    returns="boolean",
    cel="cvss.isValid",
    example=("is_cvss", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", True),
    also=(("is_cvss", "CVSS:3.1/AV:N", False),),
)
def is_cvss() -> Step:
    """Whether the text is a whole CVSS vector."""

    def step(value: Any) -> bool:
        try:
            return _parsed(_vector(value)) is not None
        except Refusal:
            return False

    return step


@function(
    "cvss_score",
    Param("metrics", "choice", "base", options=_KINDS),
    area=_AREA,
    takes="string",
    returns="number",
    cel="cvss.score",
    example=("cvss_score", _EXAMPLE, 9.8),
    also=(
        ({"cvss_score": "threat"}, _EXAMPLE, 9.0),
        ("cvss_score", "AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5),
        ("cvss_score", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
    ),
)
def cvss_score(metrics: str) -> Step:
    """The score of a vector: of its `base` metrics, with its `threat` (temporal) metrics, or of `all`."""
    return lambda value: _score(_vector(value), metrics)


@function(
    "cvss_rating",
    area=_AREA,
    takes="number",
    returns="string",
    cel="cvss.rating",
    example=("cvss_rating", 9.8, "Critical"),
)
def cvss_rating() -> Step:
    """The rating of a score in the words of version 3 and 4: None, Low, Medium, High or Critical."""

    def step(value: Any) -> str:
        score = need_number(value)
        if not 0 <= score <= 10:
            raise Refusal("NOT_CVSS", "A CVSS score is a number from 0 to 10; mend the source.")
        return _rating(round(score, 1))

    return step


@function(
    "cvss_version",
    area=_AREA,
    takes="string",
    returns="string",
    cel="cvss.version",
    example=("cvss_version", _EXAMPLE, "3.1"),
)
def cvss_version() -> Step:
    """The version of a vector: 2.0, 3.0, 3.1 or 4.0."""
    return lambda value: _version(_vector(value))


def _version(vector: str) -> str:
    _parsed(vector)
    return "2.0" if _major(vector) == "2" else vector[5:8]


@function(
    "cvss_metric",
    Param("metric", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    nullable=True,
    cel="cvss.metric",
    example=({"cvss_metric": "AV"}, _EXAMPLE, "N"),
    also=(({"cvss_metric": "RL"}, _EXAMPLE, None),),
)
def cvss_metric(metric: str) -> Step:
    """One metric of a vector as the vector writes it; null where it does not say."""

    def step(value: Any) -> str | None:
        vector = _vector(value)
        _parsed(vector)
        return _metrics(vector).get(metric)

    return step


def _metrics(vector: str) -> dict[str, str]:
    parts = (part.partition(":") for part in vector.split("/"))
    return {name: told for name, _, told in parts if name != "CVSS"}


@function(
    "normalize_cvss",
    area=_AREA,
    takes="string",
    returns="string",
    cel="cvss.normalize",
    example=(
        "normalize_cvss",
        "(AV:N/AC:L/Au:N/A:P/C:P/I:P/E:ND)",
        "AV:N/AC:L/Au:N/C:P/I:P/A:P",
    ),
)
def normalize_cvss() -> Step:
    """Writes a vector with its metrics in the order of the standard, without those that say nothing."""
    return lambda value: str(_parsed(_vector(value)).clean_vector())


@function(
    "parse_cvss",
    area=_AREA,
    takes="string",
    returns="object",
    cel="cvss.parse",
    example=(
        "parse_cvss",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
        {
            "version": "3.1",
            "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
            "base_score": 6.1,
            "base_rating": "Medium",
            "score": 6.1,
            "rating": "Medium",
            "metrics": {"AV": "N", "AC": "L", "PR": "N", "UI": "R", "S": "C", "C": "L", "I": "L", "A": "N"},
        },
    ),
)
def parse_cvss() -> Step:
    """Takes a vector apart: version, scores and ratings of its base metrics and of all, and every metric."""

    def step(value: Any) -> dict[str, Any]:
        vector = _vector(value)
        base, whole = _score(vector, "base"), _score(vector, "all")
        normal = str(_parsed(vector).clean_vector())
        return {
            "version": _version(vector),
            "vector": normal,
            "base_score": base,
            "base_rating": _rating(base),
            "score": whole,
            "rating": _rating(whole),
            "metrics": _metrics(normal),
        }

    return step
