"""Digests by which two systems' forms of a record are compared without either travelling."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from isthmus.host.attempt.legs import RecordPlan, TargetFields, target_names
from isthmus.mapper import FieldError, Mapped, Plan, Rejection, identity_plan
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.records import key_of

_ANNOUNCING = frozenset({scheduling.LEG_COMPARE_DESTINATION, scheduling.LEG_COMPARE_SOURCE})
_DIGEST_BYTES = 16
_MOST_SHAPES = 1000
_SHORTEST_MOMENT = len("2026-01-01T00:00:00")
_LONGEST_MOMENT = len("2026-01-01T00:00:00.000000000+00:00")
_FOLDED = frozenset("[{")
_NO_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode


def is_announcing(leg: int) -> bool:
    """Tell whether a leg only announces what a side holds."""
    return leg in _ANNOUNCING


class DigestPlan:
    """Makes of each record its key, a digest of the whole and a short mark of each field.

    The list of fields travels once for many records.

    Args:
        plan: Gives the form in which both sides are compared.
        key: Dotted paths of the flow's key in that form; empty where the side's own keys count.
        salt: Makes the marks of one comparison useless to whoever knows those of another.
        is_source: A record without the flow's key cannot be written, and is rejected.
        ignored: Dotted paths of fields that are not compared.
    """

    def __init__(
        self,
        plan: RecordPlan,
        key: Sequence[str],
        salt: str,
        *,
        is_source: bool,
        ignored: Sequence[str] = (),
    ) -> None:
        self._plan = plan
        self._ignored = frozenset(ignored)
        self._key = tuple(key)
        self._salt = salt.encode()[:64]
        self._crc = zlib.crc32(self._salt)
        self._is_source = is_source
        self._shapes: dict[tuple[str, ...], str] = {}

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map records into announcements."""
        mapped = self._plan.apply_many(records)
        told: set[str] = set()
        made: list[dict[str, Any]] = []
        indexes: list[int] = []
        rejected = list(mapped.rejected)
        for index, record in zip(mapped.indexes, mapped.records, strict=True):
            try:
                announcement = self._announcement(record, told)
            except LookupError as missing:
                path = str(missing.args[0])
                message = f"The key field {path} is missing in the mapped record; map it."
                rejected.append(Rejection(index, (FieldError(path, "", "KEY_MISSING", message),)))
            else:
                made.append(announcement)
                indexes.append(index)
        return Mapped(made, indexes, rejected, mapped.filtered)

    def _announcement(self, record: Any, told: set[str]) -> dict[str, Any]:
        pairs = sorted(pair for pair in _fields(record) if pair[0] not in self._ignored)
        names = tuple(name for name, _ in pairs)
        texts = [text.encode() for _, text in pairs]
        shape = self._shape(names)
        marks = b"".join(zlib.crc32(text, self._crc).to_bytes(4, "big") for text in texts)
        digest = blake2b(_encode(pairs), digest_size=_DIGEST_BYTES, key=self._salt).digest()
        made: dict[str, Any] = {"digest": digest, "marks": marks, "shape": shape}
        if shape not in told:
            told.add(shape)
            made["names"] = names
        if self._key:
            made["key"] = self._key_of(record)
        return made

    def _key_of(self, record: Any) -> str:
        try:
            return key_of(record, self._key)
        except LookupError:
            if self._is_source:
                raise
            return ""

    def _shape(self, names: tuple[str, ...]) -> str:
        shape = self._shapes.get(names)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            shape = self._shapes[names] = blake2b(_encode(names), digest_size=8).hexdigest()
        return shape


def digest_plan(grant: scheduling.AcquireLeaseResponse, plan: Plan | None) -> RecordPlan:
    """Give the plan of a leg that announces, made out of the flow's mapping."""
    is_source = grant.leg == scheduling.LEG_COMPARE_SOURCE
    form: RecordPlan = plan or identity_plan()
    if plan is not None and not is_source:
        form = TargetFields(plan)
    return DigestPlan(
        form,
        grant.flow.destination_key,
        grant.execution.execution_id,
        is_source=is_source,
        ignored=told_times(plan),
    )


def told_times(plan: Plan | None) -> tuple[str, ...]:
    """Name the fields that say when a record was mapped: they differ however equal both sides are."""
    lines = plan.lineage if plan is not None else ()
    return tuple(sorted({".".join(target_names(line.target)) for line in lines if line.tells_time}))


def _fields(record: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give the dotted path and the meaning of each field that says something."""
    for name, given in record.items():
        value = _unfolded(given)
        if isinstance(value, dict):
            yield from _fields(value, f"{path}{name}.")
        else:
            text = meaning(value)
            if text:
                yield f"{path}{name}", text


def _unfolded(value: Any) -> Any:
    """What a text stands for where a system keeps lists and objects as their JSON."""
    if isinstance(value, str) and value[:1] in _FOLDED:
        with suppress(*_NO_JSON):
            return _decode(value)
    return value


def meaning(value: Any) -> str:
    """Give a text that is the same for values that say the same, however a system spells them.

    Systems differ in whether they say null, nothing or an empty text, in how they write times, and in
    whether a number, a list or an object comes as a text.
    """
    if value is None:
        return ""
    write = _WRITTEN.get(type(value))
    return write(value) if write is not None else _encode(value).decode().strip('"')


def _list(values: Sequence[Any]) -> str:
    return _encode([_part(value) for value in values]).decode() if values else ""


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _part(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: part for name, inner in value.items() if (part := _part(inner)) not in ("", {})}
    return meaning(value)


def _moment(text: str) -> str:
    """A time as one zone writes it; a text that is none stays as it is."""
    if not _SHORTEST_MOMENT <= len(text) <= _LONGEST_MOMENT:
        return text
    if text[4] != "-" or text[10] not in "Tt " or text[13] != ":":
        return text
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)).isoformat()


_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _moment,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _number,
    datetime: lambda value: _moment(value.isoformat()),
    list: _list,
    tuple: _list,
}

__all__ = ["DigestPlan", "digest_plan", "is_announcing", "meaning", "told_times"]
