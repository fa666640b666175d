"""Watches the shape of what a source gives, so that a change of it is noticed before it does harm."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import SourcePage, SourceReject
from isthmus.host.control import ControlPlane, call, persist
from isthmus.kit.logs import logger
from isthmus.mapper.drift import Shape, fits, infer, kind_of_json, only, schema_of, shape_of_schema
from isthmus.mapper.paths import EACH, PathInvalid, parse_path
from isthmus.mapping.v1 import schemas_pb2 as schemas
from isthmus.resilience import DataLost, Unsupported
from isthmus.sdk.runtime import ShapedRecords
from isthmus.type.v1 import batch_pb2 as batch

_SAMPLES = 4
_LOOK_FIRST, _LOOK_ANEW = 8, 64
"""Of records that were decoded in part, what was not decoded is looked at on the first pages of an
attempt, and then on every so many."""
_MOST_TOLD = 10
_MOST_KEPT = 500
_LONGEST_STORY = 6
_MOST_SHAPES = 64
_Answer = schemas.ObserveSchemaResponse
_Kind = schemas.SchemaDifference
_decode = msgspec.json.Decoder().decode
_log = logger(__name__)


class Expectations:
    """What attempts of this host were told last, so that the next one at an unchanged stream need not ask.

    What another host has found meanwhile is noticed all the same: a page that is not as expected is
    asked about, always.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], schemas.ObserveSchemaResponse] = OrderedDict()

    def get(self, tenant_id: str, request: schemas.ObserveSchemaRequest) -> _Answer | None:
        """Return what was answered to the same question, if the flow may go on."""
        return self._kept.get((tenant_id, request.SerializeToString(deterministic=True)))

    def keep(self, tenant_id: str, request: schemas.ObserveSchemaRequest, answer: _Answer) -> None:
        """Keep an answer, or forget the one before when this one is not to be kept."""
        key = (tenant_id, request.SerializeToString(deterministic=True))
        self._kept.pop(key, None)
        if answer.verdict == _Answer.VERDICT_PASS and not answer.wants_records:
            self._kept[key] = _Answer(
                verdict=answer.verdict, json_schema=answer.json_schema, unknown_fields=answer.unknown_fields
            )
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose records are watched.

    Attributes:
        paths: What is read of them; None stands for everything.
        mapping_fingerprint: Another one means another mapping.
    """

    tenant_id: str
    flow_id: str
    flow_name: str
    instance_id: str
    stream: connector.StreamSpec
    paths: tuple[str, ...] | None
    mapping_fingerprint: str = ""


class SchemaWatch:
    """Compares what comes with what is expected: the declared schema once, then some records of each page.

    A system that changes the form of its records does so from some moment on, so the last record of a
    page tells. Only when a sample is odd is the whole page looked at, and the mapping service asked.

    Args:
        control: Where schemas are remembered.
        expectations: What was answered before.
        watched: Whose records are watched.
        patience: Seconds to wait for a mapping service that is away.
        tell: Told what has changed though the flow goes on.
        leave_out: Given, once, what takes unknown fields out of a record that would pass whole.
    """

    def __init__(
        self,
        control: ControlPlane,
        expectations: Expectations,
        watched: Watched,
        *,
        patience: float,
        tell: Callable[[str], None],
        leave_out: Callable[[Callable[[Any], Any]], None] | None = None,
    ) -> None:
        self._control = control
        self._expectations = expectations
        self._watched = watched
        self._patience = patience
        self._tell = tell
        self._leave_out = leave_out
        self._expected: Shape | None = None
        self._is_off = False
        self._told = 0
        self._cut: Callable[[Any], Any] | None = None
        self._drops_unknown = False
        self._is_blind = False
        self._misfits: tuple[_Misfit, ...] = ()
        self._known_forms: set[tuple[str, type]] = set()
        self._pages = 0
        self._looking = asyncio.Lock()
        self._opening = self._request()
        self._opening.declared_schema = watched.stream.json_schema

    async def begin(self) -> None:
        """Take notice of the declared schema.

        Raises:
            DataLost: `SCHEMA_CHANGED`, the flow stands still until a person has decided.
        """
        request = self._opening
        answer = self._expectations.get(self._watched.tenant_id, request) or await self._ask(request)
        if answer is not None:
            self._expectations.keep(self._watched.tenant_id, request, answer)
            self._take(answer)

    def _without_unknown(self, record: Any) -> Any:
        return self._cut(record) if self._cut is not None and isinstance(record, dict) else record

    async def admit(self, page: SourcePage) -> SourcePage:
        """Look at a page before its records are mapped.

        Returns:
            The page, less the records that go to quarantine because they show a change.

        Raises:
            DataLost: `SCHEMA_CHANGED`, nothing of this page may be sent.
        """
        if self._is_off or not page.records:
            return page
        async with self._looking:  # partitions that are read side by side share what was learned
            return await self._looked_at(page)

    async def _looked_at(self, page: SourcePage) -> SourcePage:
        page = self._sifted(page)
        if not page.records or self._is_as_expected(page):
            return page
        # A page takes a while to be looked through, which must not keep others waiting.
        seen, count = await asyncio.to_thread(_seen, page)
        if not count:
            return page
        request = self._request()
        request.seen_schema, request.seen_records = seen, count
        answer = await self._ask(request)
        if answer is None:
            return page
        self._expectations.keep(self._watched.tenant_id, self._opening, answer)
        is_first = self._expected is None
        self._take(answer)
        self._known_forms.clear()
        # Fields that are dropped are told of once, and a source that adds fields for ever not for ever.
        self._is_blind = self._told >= _MOST_TOLD or (self._drops_unknown and not is_first)
        return self._sifted(page)

    def _is_as_expected(self, page: SourcePage) -> bool:
        expected = self._expected
        if expected is None:
            return False
        self._pages += 1
        if self._pages <= _LOOK_FIRST or self._pages % _LOOK_ANEW == 0:
            self._known_forms.clear()
        for index in _places(page):
            forms = set(_forms(page.records[index]))
            if forms and forms <= self._known_forms:
                continue
            record = _object(page.original(index))
            if self._is_blind:
                record = self._without_unknown(record)
            if isinstance(record, dict) and not fits(expected, record):
                return False
            self._known_forms |= forms
        return True

    def _sifted(self, page: SourcePage) -> SourcePage:
        """The page without records that show a change which sends them to quarantine."""
        if not self._misfits:
            return page
        odd: dict[int, SourceReject] = {}
        originals = list(_originals(page))
        for index, record in enumerate(originals):
            misfit = next((one for one in self._misfits if one.shows_in(_object(record))), None)
            if misfit is not None and not _is_deletion(page, index):
                message = f"{misfit.story}; the flow puts such records aside (`isthmus schema show`)."
                odd[index] = SourceReject(record, "SCHEMA_CHANGED", message, misfit.path)
        if not odd:
            return page
        kept = [index for index in range(len(originals)) if index not in odd]
        return replace(
            page,
            records=[originals[index] for index in kept],
            keys=[page.keys[index] for index in kept] if page.keys else (),
            operations=None if page.operations is None else [page.operations[index] for index in kept],
            rejected=[*page.rejected, *odd.values()],
        )

    def _take(self, answer: _Answer) -> None:
        """Go on by what was answered."""
        story = [_told(one) for one in answer.change.differences]
        if answer.verdict == _Answer.VERDICT_STOP:
            raise self._stopped(answer.change, story)
        shape = _shape_of(answer.json_schema) if answer.json_schema else None
        self._expected = None if answer.wants_records else shape
        self._drops_unknown = answer.unknown_fields == schemas.SchemaPolicy.NEW_FIELDS_DROP
        self._cut = None
        if answer.verdict == _Answer.VERDICT_QUARANTINE:
            breaking = [one for one in answer.change.differences if one.is_breaking]
            if not self._misfits:
                told = _short([_told(one) for one in breaking])
                name = self._watched.stream.stream
                self._tell(f"The schema of {name} has changed: {told}. Records that show it are put aside.")
            self._misfits = tuple(_Misfit(one, shape) for one in breaking)
        elif answer.HasField("change") and story:
            self._told += 1
            self._tell(f"The schema of {self._watched.stream.stream} has changed: {_short(story)}.")
        if self._expected is not None:
            self._cut = _cut_of(answer.json_schema)
        if self._drops_unknown and self._watched.paths is None and self._leave_out is not None:
            self._leave_out(self._without_unknown)
            self._leave_out = None

    def _stopped(self, change: schemas.SchemaChange, story: Sequence[str]) -> DataLost:
        name = self._watched.flow_name
        told = [_told(one) for one in change.differences if one.is_breaking] or story
        message = (
            f"{_short(told)}. Nothing that shows the change was sent. See `isthmus schema show {name}`, then "
            f"`isthmus schema accept {name}`, `isthmus schema quarantine {name}`, or change the mapping and "
            f"`isthmus schema map {name}`."
        )
        return DataLost("SCHEMA_CHANGED", message)

    def _request(self) -> schemas.ObserveSchemaRequest:
        watched = self._watched
        return schemas.ObserveSchemaRequest(
            flow_id=watched.flow_id,
            instance_id=watched.instance_id,
            stream=watched.stream.stream,
            primary_key=watched.stream.primary_key,
            cursor_field=watched.stream.cursor_field,
            source_paths=watched.paths or (),
            reads_everything=watched.paths is None,
            mapping_fingerprint=watched.mapping_fingerprint,
        )

    async def _ask(self, request: schemas.ObserveSchemaRequest) -> _Answer | None:
        """Ask whether the flow may go on; None where nobody remembers schemas."""
        method = self._control.schemas.ObserveSchema
        try:
            answer: _Answer = await persist(lambda: call(method, request), seconds=self._patience)
        except Unsupported:
            _log.warning("the mapping service remembers no schemas", flow_id=request.flow_id)
            self._is_off = True
            return None
        return answer


@lru_cache(maxsize=_MOST_SHAPES)
def _shape_of(json_schema: str) -> Shape:
    """Read a schema; many executions are told the same one, and nobody changes a shape that is expected."""
    return shape_of_schema(_decode(json_schema))


@lru_cache(maxsize=_MOST_SHAPES)
def _cut_of(json_schema: str) -> Callable[[Any], Any]:
    return only(_shape_of(json_schema))


class _Misfit:
    """Tells which records show a breaking change at one place."""

    def __init__(self, difference: schemas.SchemaDifference, expected: Shape | None) -> None:
        self.path = difference.path
        self.story = _told(difference)
        self._is_removal = difference.kind == _Kind.KIND_FIELD_REMOVED
        # A number where an integer was is no change of type, unless that is what harms.
        self._takes_numbers = "number" not in difference.after.split(" or ")
        try:
            self._parts = parse_path(difference.path)
        except PathInvalid:
            self._parts = (difference.path,)
        shape = expected
        for part in self._parts:
            shape = None if shape is None else shape.items if part is EACH else shape.members.get(str(part))
        self._types = shape.types if shape is not None else set()

    def shows_in(self, record: Any) -> bool:
        """Tell whether a record shows the change."""
        return isinstance(record, dict) and any(map(self._is_odd, _values(record, self._parts)))

    def _is_odd(self, value: Any) -> bool:
        if value is _MISSING or value is None:
            return self._is_removal and value is _MISSING
        kind = kind_of_json(value)
        if (kind == "integer" and "number" in self._types) or (
            kind == "number" and "integer" in self._types and self._takes_numbers
        ):
            return False
        return bool(self._types) and kind not in self._types


_MISSING = object()


def _values(value: Any, parts: Sequence[Any]) -> Iterator[Any]:
    """What stands at a path; a member that is not there counts as missing, a list may have none."""
    if not parts:
        yield value
    elif parts[0] is EACH:
        for element in value if isinstance(value, list) else ():
            yield from _values(element, parts[1:])
    elif not isinstance(value, dict) or parts[0] not in value:
        yield _MISSING
    else:
        yield from _values(value[parts[0]], parts[1:])


def _places(page: SourcePage) -> list[int]:
    """Places of the sample: the first and the last record, and some in between; deletions have no form."""
    total = len(page.records)
    places = sorted({(total - 1) * step // (_SAMPLES - 1) for step in range(_SAMPLES)})
    return [place for place in places if not _is_deletion(page, place)]


def _is_deletion(page: SourcePage, index: int) -> bool:
    return page.operations is not None and page.operations[index] == batch.OPERATION_DELETE


def _originals(page: SourcePage) -> Sequence[Any]:
    records = page.records
    return records.whole() if isinstance(records, ShapedRecords) else records


def _seen(page: SourcePage) -> tuple[str, int]:
    """The schema that a page shows, and how many records show it."""
    originals = enumerate(_originals(page))
    read = (_object(record) for index, record in originals if not _is_deletion(page, index))
    whole = [record for record in read if isinstance(record, dict)]
    return msgspec.json.encode(schema_of(infer(whole))).decode(), len(whole)


def _object(record: Any) -> Any:
    """A record as an object; None where it cannot be read, which is for the mapping to tell."""
    if not isinstance(record, bytes):
        return record
    try:
        return _decode(record)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _forms(record: Any, place: str = "") -> Iterator[tuple[str, type]]:
    """The types of what is read of a struct; nothing where the record itself is at hand."""
    if isinstance(record, msgspec.Struct):
        for name in record.__struct_fields__:
            value = getattr(record, name)
            yield f"{place}.{name}", type(value)
            yield from _forms(value, f"{place}.{name}")
    elif isinstance(record, list) and place:
        for element in record[:3]:
            yield place, type(element)
            yield from _forms(element, place)


def _told(one: schemas.SchemaDifference) -> str:
    word = _Kind.Kind.Name(one.kind).removeprefix("KIND_").lower().replace("_", " ")
    return f"{one.path}: {word}, {one.before} → {one.after}"


def _short(story: Sequence[str]) -> str:
    more = f"; and {len(story) - _LONGEST_STORY} more" if len(story) > _LONGEST_STORY else ""
    return "; ".join(story[:_LONGEST_STORY]) + more


__all__ = ["Expectations", "SchemaWatch", "Watched"]
