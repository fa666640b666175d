"""What was found wrong with records, counted and not repeated."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.host.attempt.pieces import Noted, Reason, Reject
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.texts import clean
from isthmus.kit.redaction import scrub
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_Finding = scheduling.Finding
_CONSEQUENCES = {
    "warn": _Finding.CONSEQUENCE_WARNED,
    "default": _Finding.CONSEQUENCE_DEFAULTED,
}
_MOST = 100
_MOST_KEYS = 3
_PLACE = re.compile(r"\[-?\d+\]")
_OTHERS = Reason("OTHER_REASONS", "There are more reasons than are told apart; look into the quarantine.")

Kind = tuple[int, str, str, str, str]


@dataclass(slots=True)
class _Found:
    message: str
    records: int = 0
    keys: tuple[str, ...] = ()


class Findings:
    """Counts what is wrong with records by what it is, and remembers the first of each kind.

    Args:
        privacy: Keeps sensitive values out.
        mapping_version: The version of the mapping in use; 0 for none.
    """

    def __init__(self, privacy: Privacy, mapping_version: int = 0) -> None:
        self._privacy = privacy
        self._version = mapping_version
        self._found: dict[Kind, _Found] = {}

    def rejected(self, rejects: Sequence[Reject]) -> None:
        """Count records that go to quarantine."""
        for reject in rejects:
            for reason in reject.reasons:
                self._add(_Finding.CONSEQUENCE_QUARANTINED, reason, reject.key, reject.record)

    def noted(self, notes: Sequence[Noted]) -> None:
        """Count records that go on although a rule does not hold."""
        for note in notes:
            self._add(_CONSEQUENCES[note.consequence], note.reason, note.key, note.record)

    def add(self, others: "Findings") -> None:
        """Count what others have counted as well."""
        for kind, one in others._found.items():
            mine = self._of(kind, one.message)
            mine.records += one.records
            mine.keys = (mine.keys + one.keys)[:_MOST_KEYS]

    def _add(self, consequence: int, reason: Reason, key: str, record: Any) -> None:
        kind = (
            consequence,
            reason.reason,
            _PLACE.sub("[*]", reason.target_path),
            _PLACE.sub("[*]", reason.source_path),
            reason.rule,
        )
        known = self._found.get(kind)
        if known is None:
            if len(self._found) >= _MOST:
                kind, reason = (consequence, _OTHERS.reason, "", "", ""), _OTHERS
            (shown,) = self._privacy.reasons((reason,), record)
            known = self._of(kind, scrub(clean(shown.message, 500)))
        known.records += 1
        if key and len(known.keys) < _MOST_KEYS:
            known.keys += (clean(scrub(self._privacy.source.text(key, record)), 300),)

    def _of(self, kind: Kind, message: str) -> _Found:
        return self._found.setdefault(kind, _Found(message))

    def __iter__(self) -> Iterator[scheduling.Finding]:
        """Give the findings, the most frequent first."""
        for kind, one in sorted(self._found.items(), key=lambda each: -each[1].records):
            consequence, reason, target, source, rule = kind
            yield _Finding(
                consequence=_Finding.Consequence.ValueType(consequence),
                reason=clean(reason, 100),
                message=one.message,
                target_path=clean(target, 300),
                source_path=clean(source, 300),
                rule=rule,
                mapping_version=self._version,
                records=one.records,
                keys=one.keys,
            )


def warnings(findings: Findings) -> Iterator[str]:
    """Say what is to be told in the log: what let records go on."""
    for one in findings:
        if one.consequence != _Finding.CONSEQUENCE_QUARANTINED:
            done = "got default values" if one.consequence == _Finding.CONSEQUENCE_DEFAULTED else "went on"
            keys = f" First: {', '.join(one.keys)}." if one.keys else ""
            yield f"{one.records} records {done} although a rule does not hold: {one.message}{keys}"


__all__ = ["Findings", "warnings"]
