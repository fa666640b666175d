"""What a dry run finds: counts as a sync has them, a few records of each kind, reasons for quarantine."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.findings import Findings
from isthmus.host.attempt.lease import Lease
from isthmus.host.attempt.pieces import Piece, Reason, Reject, Unit
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.attempt.settling import Settling, rejects_of
from isthmus.host.texts import clean
from isthmus.kit.redaction import STARS, scrub
from isthmus.mapper.privacy import Scrubber
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

_Sample = scheduling.PreviewSample
_SAMPLES = 5
_MOST_FIELDS = 20
_MOST_REASONS = 50
_LONGEST_VALUE = 200
_MOST_KEY_BYTES = 3 * 1024 * 1024
_EFFECTS = {
    batch.RecordOutcome.RESULT_CREATED: _Sample.KIND_CREATED,
    batch.RecordOutcome.RESULT_UPDATED: _Sample.KIND_UPDATED,
    batch.RecordOutcome.RESULT_DELETED: _Sample.KIND_DELETED,
}
_OF_SOURCE = frozenset({_Sample.KIND_FILTERED, _Sample.KIND_QUARANTINED})
_SECRET = re.compile(r"(?i)(api_?key|private_?key|token|secret|passw|pwd|authorization|credential)")
_encode = msgspec.json.Encoder().encode


class Nowhere:
    """Quarantine for records that are only counted."""

    async def add(self, rejects: Sequence[Reject]) -> list[str]:
        """Put nothing aside."""
        return [reject.quarantine_id for reject in rejects]

    async def resolve(self, quarantine_ids: Sequence[str]) -> None:
        """Leave what waits as it is."""


class Previewing(Settling):
    """Accounts for every record of a dry run, and remembers a few of each kind.

    Args:
        lease: Told how far the dry run is.
        keeps_keys: Whether it has to be known in the end which records there are.
        privacy: How sensitive the records are.
        findings: Makes what counts what is wrong with records.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        keeps_keys: bool = False,
        privacy: Privacy | None = None,
        findings: Callable[[], Findings] = lambda: Findings(Privacy()),
    ) -> None:
        super().__init__(lease, Nowhere(), findings=findings)
        self._privacy = privacy or Privacy()
        self.keys: list[str] = []
        self.keys_missing = ""
        """Why not all keys are known; empty where they are."""
        self._keeps_keys = keeps_keys
        self._key_bytes = 0
        self._notes: list[str] = []
        self._samples: list[scheduling.PreviewSample] = []
        self._kinds: Counter[int] = Counter()
        self._reasons: dict[tuple[str, str], scheduling.PreviewReason] = {}
        self.to_be_sent = 0

    async def __call__(self, unit: Unit, ack: connector.BatchAck) -> None:
        """Count a unit that the destination has looked at, or that it cannot be asked about."""
        await super().__call__(unit, ack)
        for reject in rejects_of(unit, ack):
            self._rejected(reject)
        for piece in unit.pieces:
            if self._keeps_keys and not self.keys_missing:
                self._keep_keys(piece)
            for place, record in enumerate(piece.left_out):
                key = piece.left_out_keys[place] if piece.left_out_keys else ""
                self._add(_Sample.KIND_FILTERED, key, "", record)
            if unit.batch is None:
                self.to_be_sent += len(piece.records)
                for place, sent in enumerate(piece.records[:_SAMPLES]):
                    self._add(_Sample.KIND_SENT, _key(piece, place), "", sent)
        for outcome in ack.outcomes:
            if outcome.result in _EFFECTS:
                piece, place = _found(unit, outcome.index)
                self._add(_EFFECTS[outcome.result], _key(piece, place), outcome.before, outcome.after)

    def _keep_keys(self, piece: Piece) -> None:
        keys = piece.keys or piece.source_keys
        self._key_bytes += sum(len(key.encode()) + 4 for key in keys)
        if len(keys) < len(piece.records):
            self.keys_missing = "records without a key cannot be told apart"
        elif self._key_bytes > _MOST_KEY_BYTES:
            self.keys_missing = "there are too many records for a dry run to keep their keys"
            self.keys = []
        else:
            self.keys += keys

    def explain(self, note: str) -> None:
        """Say what has to be known to read the figures."""
        self._notes.append(note)

    def foresee_absent(self, answer: connector.FinishGenerationResponse, mark: bytes) -> None:
        """Count what the end of the reading would remove or mark, and remember a few of these records."""
        if answer.is_first:
            self.explain(
                "Nothing would be taken for deleted the first time, because the destination does not know "
                "yet what the flow has written."
            )
        self.counts.read += answer.removed
        if mark:
            self.counts.updated += answer.removed
        else:
            self.counts.deleted += answer.removed
        kind = _Sample.KIND_UPDATED if mark else _Sample.KIND_DELETED
        for one in answer.absent:
            before = _document(one.before)
            after = {**before, **_document(mark)} if mark and isinstance(before, dict) else ""
            self._add(kind, one.key, before, after)
        if answer.removed:
            done = "marked" if mark else "deleted"
            self.explain(f"{answer.removed} records that the source no longer shows would be {done}.")

    @property
    def _accounted(self) -> int:
        return super()._accounted + self.to_be_sent

    def _note(self, last: Piece) -> None:
        if last.boundary:
            self._lease.note((), self.counts)

    def _rejected(self, reject: Reject) -> None:
        told = self._privacy.reasons(reject.reasons, reject.record)
        for one in told:
            known = (one.reason, one.target_path or one.source_path)
            if known not in self._reasons and len(self._reasons) < _MOST_REASONS:
                self._reasons[known] = _reason(one)
            if known in self._reasons:
                self._reasons[known].records += 1
        if self._add(_Sample.KIND_QUARANTINED, reject.key, "", reject.record):
            self._samples[-1].reasons.extend(_reason(one, records=1) for one in told[:_SAMPLES])

    def _add(self, kind: "_Sample.Kind.ValueType", key: str, before: Any, after: Any) -> bool:
        """Remember a record, unless there are enough of its kind."""
        if self._kinds[kind] >= _SAMPLES:
            return False
        self._kinds[kind] += 1
        privacy = self._privacy
        scrubber = privacy.source if kind in _OF_SOURCE else privacy.target
        forms = _document(before), _document(privacy.kept(after) if kind in _OF_SOURCE else after)
        shown = _named(scrubber.text(key, *forms))
        self._samples.append(_Sample(kind=kind, key=shown, fields=_fields(*forms, scrubber)))
        return True

    def found(self, *, cannot_tell: bool, limit: int) -> scheduling.Preview:
        """Return what is known at the end.

        Args:
            cannot_tell: The destination could not be asked.
            limit: Records after which reading stopped; 0 means that all were read.
        """
        notes = self._notes
        if cannot_tell:
            notes.append(
                f"Would be sent: {self.to_be_sent}; "
                "the destination cannot be asked what it would do with them."
            )
        if limit and self.counts.read >= limit:
            notes.append(f"Reading stopped after {limit} records.")
        return scheduling.Preview(
            counts=self.counts,
            is_exact=not cannot_tell,
            to_be_sent=self.to_be_sent,
            note=" ".join(notes),
            samples=sorted(self._samples, key=lambda sample: sample.kind),
            reasons=sorted(self._reasons.values(), key=lambda reason: -reason.records),
        )


def _reason(one: Reason, *, records: int = 0) -> scheduling.PreviewReason:
    return scheduling.PreviewReason(
        reason=clean(one.reason, 100),
        message=scrub(clean(one.message, 500)),
        path=clean(one.target_path or one.source_path, 500),
        records=records,
    )


def _found(unit: Unit, index: int) -> tuple[Piece, int]:
    for piece in unit.pieces:
        if index < len(piece.records):
            return piece, index
        index -= len(piece.records)
    return unit.last, len(unit.last.records)


def _key(piece: Piece, place: int) -> str:
    keys = piece.keys or piece.source_keys
    return keys[place] if place < len(keys) else ""


def _named(key: str) -> str:
    return "\x1f".join(clean(part, 300) for part in scrub(key).split("\x1f"))


def _fields(before: Any, after: Any, scrubber: Scrubber) -> list[scheduling.PreviewField]:
    """The fields of a record; where there are two forms of it those that differ."""
    old, new = dict(_flat(before)), dict(_flat(after))
    paths = [path for path in {**new, **old} if old.get(path, old) != new.get(path, new)]
    shown = [
        scheduling.PreviewField(
            path=clean(path, 300),
            before=_shown(path, scrubber.value(path, old[path])) if path in old else "",
            after=_shown(path, scrubber.value(path, new[path])) if path in new else "",
        )
        for path in paths[:_MOST_FIELDS]
    ]
    if len(paths) > _MOST_FIELDS:
        shown.append(scheduling.PreviewField(path="…", after=f'"{len(paths) - _MOST_FIELDS} more fields"'))
    return shown


def _document(given: Any) -> Any:
    if isinstance(given, bytes | str):
        try:
            return msgspec.json.decode(given) if given else {}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {"": "(cannot be read as JSON)"}
    return given


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _shown(path: str, value: Any) -> str:
    if _SECRET.search(path):
        return f'"{STARS}"'
    try:
        text = scrub(_encode(value).decode())
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        text = '"(cannot be written as JSON)"'
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


__all__ = ["Previewing"]
