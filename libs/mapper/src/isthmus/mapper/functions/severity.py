"""Functions that carry severities from the scale of one system to that of another."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function
from isthmus.mapper.functions.scales import LEVELS, SCALES, Scale

_AREA = "severity"
_NAMES = tuple(SCALES)


@function(
    "severity",
    Param("from", "choice", options=_NAMES),
    Param("to", "choice", options=_NAMES),
    Param("unknown", "any", None),
    area=_AREA,
    returns="any",
    cel="severity.translate",
    example=({"severity": ["servicenow_priority", "ocsf"]}, "2", 4),
    also=(
        ({"severity": ["ocsf", "jira"]}, 5, "Highest"),
        ({"severity": ["qradar", "sentinel"]}, 10, "High"),
        ({"severity": {"from": "word", "to": "ocsf", "unknown": 0}}, "to be discussed", 0),
    ),
)
def severity(source: str, target: str, unknown: Any) -> Step:
    """Carries a severity from one scale to another, by way of OCSF's levels.

    A level that the second scale lacks becomes the next higher one, or its highest. `unknown` stands for what
    the first scale does not know or the second cannot say, which else is refused.
    """
    reads, words, writes = SCALES[source], SCALES[source].words(), SCALES[target]

    def step(value: Any) -> Any:
        level = reads.level(value, words)
        made = None if level is None else writes.write(level)
        if made is not None:
            return made
        if unknown is not None:
            return unknown
        raise _unknown(reads)

    return step


@function(
    "severity_at_least",
    Param("scale", "choice", options=_NAMES),
    Param("level", "choice", options=LEVELS[1:]),
    area=_AREA,
    returns="boolean",
    cel="severity.atLeast",
    example=({"severity_at_least": ["jira", "high"]}, "Highest", True),
    also=(({"severity_at_least": ["cvss", "critical"]}, 7.5, False),),
)
def severity_at_least(scale: str, level: str) -> Step:
    """Whether a severity is of that level of OCSF or a higher one; an unknown one is of none."""
    reads, words, least = SCALES[scale], SCALES[scale].words(), LEVELS.index(level)

    def step(value: Any) -> bool:
        found = reads.level(value, words)
        if found is None:
            raise _unknown(reads)
        return found >= least

    return step


def _unknown(scale: Scale) -> Refusal:
    return Refusal(
        "NOT_IN_SCALE",
        f"The scale {scale.title!r} cannot say it; name another scale, or what `unknown` ones become.",
    )
