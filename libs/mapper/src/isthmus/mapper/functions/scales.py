"""Scales of severity of the systems around, each tied to the levels of OCSF (`severity_id`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

UNKNOWN, INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL, FATAL = range(7)
LEVELS: Final = ("unknown", "informational", "low", "medium", "high", "critical", "fatal")
"""The levels of OCSF, by `severity_id`."""

_NUMBER = re.compile(r"\d{1,3}(\.\d{1,6})?", re.ASCII)
_LONGEST = 100
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Scale:
    """One scale.

    Attributes:
        title: Whose it is.
        values: What it writes for a level; a level without a value takes the next higher one that has one.
        also: Other words that it reads, with their levels.
        ranges: For numbers: from which number on which level counts, and the highest number.
    """

    title: str
    values: Mapping[int, Any]
    also: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[tuple[float, int], ...] = ()
    highest: float = 0

    def words(self) -> dict[str, int]:
        """What it reads as a whole, in small letters."""
        if self.ranges:
            return dict(self.also)
        return {str(value).casefold(): level for level, value in self.values.items()} | dict(self.also)

    def level(self, value: Any, words: Mapping[str, int]) -> int | None:
        """The level of a value; `None` where the scale does not know it.

        Args:
            value: A text or number.
            words: What `words` gives.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        if not isinstance(value, str) and not -_MOST <= value <= _MOST:
            return None
        text = value.strip().casefold() if isinstance(value, str) and len(value) <= _LONGEST else value
        if isinstance(text, float) and text.is_integer():
            text = int(text)
        if str(text)[:_LONGEST] in words:
            return words[str(text)]
        return self._ranged(text) if self.ranges else None

    def _ranged(self, value: Any) -> int | None:
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value):
                return None
            value = float(value)
        if not 0 <= value <= self.highest:
            return None
        return max((start, level) for start, level in self.ranges if start <= value)[1]

    def write(self, level: int) -> Any:
        """The value for a level; `None` where the scale cannot say that it is unknown."""
        if level == UNKNOWN:
            return self.values.get(UNKNOWN)
        above = [one for one in self.values if one >= level]
        return self.values[min(above) if above else max(self.values)]


def _words(*names: str, start: int = INFORMATIONAL) -> dict[int, str]:
    return dict(enumerate(names, start))


_ANY_WORD = {
    **dict.fromkeys(
        ("info", "information", "none", "negligible", "notice", "debug", "ok", "clear"), INFORMATIONAL
    ),
    **dict.fromkeys(("minor", "lowest", "planning"), LOW),
    **dict.fromkeys(("moderate", "warning", "warn", "normal", "med"), MEDIUM),
    **dict.fromkeys(("major", "important", "error", "severe", "err"), HIGH),
    **dict.fromkeys(("crit", "urgent", "very high", "very-high", "highest", "blocker", "alert"), CRITICAL),
    **dict.fromkeys(("emergency", "emerg", "panic"), FATAL),
}

SCALES: Final[dict[str, Scale]] = {
    "ocsf": Scale("OCSF severity_id", dict(enumerate(range(7))), {"99": UNKNOWN}),
    "ocsf_name": Scale(
        "OCSF severity",
        _words("Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal", start=UNKNOWN),
        {"other": UNKNOWN},
    ),
    "word": Scale(
        "words as systems use them, in any case",
        _words("unknown", "informational", "low", "medium", "high", "critical", start=UNKNOWN),
        {**_ANY_WORD, "fatal": FATAL},
    ),
    "event": Scale(
        "events and alerts of this product", _words("low", "medium", "high", "critical", start=LOW)
    ),
    "syslog": Scale(
        "syslog severity (RFC 5424)",
        {INFORMATIONAL: 6, LOW: 5, MEDIUM: 4, HIGH: 3, CRITICAL: 2, FATAL: 0},
        {"1": CRITICAL, "7": INFORMATIONAL},
    ),
    "syslog_name": Scale(
        "syslog severity by name",
        {
            INFORMATIONAL: "info",
            LOW: "notice",
            MEDIUM: "warning",
            HIGH: "err",
            CRITICAL: "crit",
            FATAL: "emerg",
        },
        {
            "alert": CRITICAL,
            "critical": CRITICAL,
            "debug": INFORMATIONAL,
            "informational": INFORMATIONAL,
            "warn": MEDIUM,
            "error": HIGH,
            "emergency": FATAL,
            "panic": FATAL,
        },
    ),
    "cvss": Scale(
        "CVSS score, written as the least of its rating",
        {INFORMATIONAL: 0.0, LOW: 0.1, MEDIUM: 4.0, HIGH: 7.0, CRITICAL: 9.0},
        ranges=((0, INFORMATIONAL), (0.1, LOW), (4, MEDIUM), (7, HIGH), (9, CRITICAL)),
        highest=10,
    ),
    "cvss_rating": Scale("CVSS rating", _words("None", "Low", "Medium", "High", "Critical")),
    "servicenow_priority": Scale(
        "ServiceNow priority",
        {INFORMATIONAL: "5", LOW: "4", MEDIUM: "3", HIGH: "2", CRITICAL: "1"},
        {
            "1 - critical": CRITICAL,
            "2 - high": HIGH,
            "3 - moderate": MEDIUM,
            "4 - low": LOW,
            "5 - planning": INFORMATIONAL,
        },
    ),
    "servicenow_impact": Scale(
        "ServiceNow impact, urgency and severity",
        {LOW: "3", MEDIUM: "2", HIGH: "1"},
        {"1 - high": HIGH, "2 - medium": MEDIUM, "3 - low": LOW},
    ),
    "servicenow_event": Scale(
        "ServiceNow event severity",
        {INFORMATIONAL: "5", LOW: "4", MEDIUM: "3", HIGH: "2", CRITICAL: "1"},
        {"0": INFORMATIONAL},
    ),
    "jira": Scale("Jira priority", _words("Lowest", "Low", "Medium", "High", "Highest")),
    "sentinel": Scale("Microsoft Sentinel", _words("Informational", "Low", "Medium", "High")),
    "defender": Scale(
        "Microsoft Defender and Graph security",
        _words("unknown", "informational", "low", "medium", "high", start=UNKNOWN),
    ),
    "splunk": Scale(
        "Splunk Enterprise Security urgency",
        _words("unknown", "informational", "low", "medium", "high", "critical", start=UNKNOWN),
        {"info": INFORMATIONAL},
    ),
    "qradar": Scale(
        "QRadar severity and magnitude",
        {INFORMATIONAL: 0, LOW: 2, MEDIUM: 5, HIGH: 8, CRITICAL: 10},
        ranges=((0, INFORMATIONAL), (1, LOW), (4, MEDIUM), (7, HIGH), (9, CRITICAL)),
        highest=10,
    ),
    "cef": Scale(
        "ArcSight CEF",
        {LOW: 3, MEDIUM: 6, HIGH: 8, CRITICAL: 10},
        {"unknown": UNKNOWN, "low": LOW, "medium": MEDIUM, "high": HIGH, "very-high": CRITICAL},
        ranges=((0, LOW), (4, MEDIUM), (7, HIGH), (9, CRITICAL)),
        highest=10,
    ),
    "elastic": Scale("Elastic Security", _words("low", "medium", "high", "critical", start=LOW)),
    "crowdstrike": Scale(
        "CrowdStrike severity, 0 to 100",
        {INFORMATIONAL: 10, LOW: 30, MEDIUM: 50, HIGH: 70, CRITICAL: 90},
        ranges=((0, INFORMATIONAL), (20, LOW), (40, MEDIUM), (60, HIGH), (80, CRITICAL)),
        highest=100,
    ),
    "security_hub": Scale(
        "AWS Security Hub label", _words("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
    ),
    "security_hub_score": Scale(
        "AWS Security Hub normalized score",
        {INFORMATIONAL: 0, LOW: 1, MEDIUM: 40, HIGH: 70, CRITICAL: 90},
        ranges=((0, INFORMATIONAL), (1, LOW), (40, MEDIUM), (70, HIGH), (90, CRITICAL)),
        highest=100,
    ),
    "guardduty": Scale(
        "Amazon GuardDuty",
        {LOW: 2, MEDIUM: 5, HIGH: 8, CRITICAL: 9},
        ranges=((0, LOW), (4, MEDIUM), (7, HIGH), (9, CRITICAL)),
        highest=10,
    ),
    "gcp_scc": Scale(
        "Google Security Command Center",
        _words("LOW", "MEDIUM", "HIGH", "CRITICAL", start=LOW) | {UNKNOWN: "SEVERITY_UNSPECIFIED"},
        {"minimal": INFORMATIONAL},
    ),
    "trivy": Scale("Trivy", _words("LOW", "MEDIUM", "HIGH", "CRITICAL", start=LOW) | {UNKNOWN: "UNKNOWN"}),
    "github": Scale(
        "GitHub advisories", _words("low", "medium", "high", "critical", start=LOW), {"moderate": MEDIUM}
    ),
    "qualys": Scale("Qualys", dict(enumerate(range(1, 6), INFORMATIONAL))),
    "tenable": Scale("Tenable severity id", dict(enumerate(range(5), INFORMATIONAL))),
    "misp": Scale("MISP threat level", {UNKNOWN: "4", LOW: "3", MEDIUM: "2", HIGH: "1"}),
    "sarif": Scale("SARIF level", {INFORMATIONAL: "none", LOW: "note", MEDIUM: "warning", HIGH: "error"}),
    "pagerduty": Scale(
        "PagerDuty", {INFORMATIONAL: "info", MEDIUM: "warning", HIGH: "error", CRITICAL: "critical"}
    ),
    "opsgenie": Scale("Opsgenie priority", _words("P5", "P4", "P3", "P2", "P1")),
    "otel": Scale(
        "OpenTelemetry severity number",
        {INFORMATIONAL: 9, MEDIUM: 13, HIGH: 17, FATAL: 21},
        ranges=((1, INFORMATIONAL), (13, MEDIUM), (17, HIGH), (21, FATAL)),
        highest=24,
    ),
}
