"""How sensitive the records of an attempt are, and what of them others may see."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import msgspec
from isthmus.connector.v1 import connector_pb2
from isthmus.host.attempt.pieces import Reason
from isthmus.mapper import Plan
from isthmus.mapper.paths import parse_path
from isthmus.mapper.privacy import (
    KEYWORD,
    WHOLE,
    Classes,
    DataClass,
    Scrubber,
    classes_of_schema,
    proposed,
    without_secrets,
)
from isthmus.type.v1 import privacy_pb2

_MOST_NAMED = 20
_KNOWN = {int(kind) for kind in DataClass}
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Privacy:
    """Keeps sensitive values of an attempt's records out of everything but the records themselves.

    Args:
        declared: Classes of the source's fields, by path.
        plan: The mapping; None passes records on unchanged.
        maps_forward: The attempt writes what the mapping makes; False where it passes records on.

    Attributes:
        lowered: Target fields that the mapping makes less sensitive: path, class of the sources, own class.
        left_out: Secret fields that no mapping names; they do not leave the host.
        cut: Takes them out of a record; None where there are none.
    """

    def __init__(
        self,
        declared: Mapping[str, DataClass] | None = None,
        plan: Plan | None = None,
        *,
        maps_forward: bool = True,
    ) -> None:
        source = plan.read_classes(declared or {}) if plan is not None else Classes(declared)
        target = plan.classes(source) if plan is not None and maps_forward else source
        self.source = Scrubber(source)
        self.target = Scrubber(target)
        self.lowered = tuple(plan.lowered(source)) if plan is not None and maps_forward and source else ()
        self.left_out: tuple[str, ...] = ()
        self.cut: Callable[[Any], Any] | None = None
        if source.paths(DataClass.SECRET):
            self.left_out, self.cut = without_secrets(source, plan.sources if plan is not None else None)

    @classmethod
    def of(cls, json_schema: str, plan: Plan | None, *, maps_forward: bool = True) -> "Privacy":
        """Read the classes out of the schema that the source declares."""
        return cls(declared_in(json_schema), plan, maps_forward=maps_forward)

    def learn(self, told: Iterable[privacy_pb2.FieldClass]) -> None:
        """Take over what is known of records that come out of quarantine, from when they were read."""
        found = {
            one.path: DataClass(one.data_class) if one.data_class in _KNOWN else DataClass.CONFIDENTIAL
            for one in told
        }
        known = self.source.classes
        if found and not found.items() <= known.declared.items():
            self.source = Scrubber(Classes({**known.declared, **found}, known.default))

    def remarks(self) -> Iterator[str]:
        """Say which secrets stay behind, and what the mapping makes less sensitive than it was."""
        if self.left_out:
            fields = ", ".join(self.left_out[:_MOST_NAMED])
            yield f"Secret fields stay where they are: {fields}. A mapping may name those that must go on."
        if self.lowered:
            lowered = [f"{path} ({own.name.lower()})" for path, _, own in self.lowered[:_MOST_NAMED]]
            yield f"The mapping makes fields less sensitive than their sources: {', '.join(lowered)}."

    @property
    def field_classes(self) -> list[privacy_pb2.FieldClass]:
        """Classes of the records that are written, for the destination."""
        return messages(self.target.classes)

    def kept(self, record: Any) -> Any:
        """A record as it may be put aside: whole, but for secrets that do not leave the host."""
        if self.cut is None:
            return record
        read = decoded(record)
        return self.cut(read) if isinstance(read, dict) else record

    def reasons(self, reasons: Iterable[Reason], record: Any) -> list[Reason]:
        """Reasons without the sensitive values of the record that they quote."""
        if not self.source:
            return list(reasons)
        read = decoded(record)
        return [replace(one, message=self.source.text(one.message, read)) for one in reasons]


@lru_cache(maxsize=64)
def declared_in(json_schema: str) -> Mapping[str, DataClass]:
    """The classes that the text of a JSON Schema declares; most declare none, which costs nothing."""
    if KEYWORD not in json_schema:
        return {}
    try:
        return classes_of_schema(json.loads(json_schema))
    except (ValueError, RecursionError):
        return {}


def messages(classes: Classes) -> list[privacy_pb2.FieldClass]:
    """Classes of fields as they travel; that of all others is the class of the whole record."""
    others = {} if classes.default is DataClass.INTERNAL else {WHOLE: classes.default}
    return [
        privacy_pb2.FieldClass(path=path, data_class=cast("privacy_pb2.DataClass.ValueType", int(kind)))
        for path, kind in {**others, **classes.declared}.items()
    ]


def cut_of(json_schema: str, named: Sequence[str]) -> Callable[[Any], Any] | None:
    """What takes the secret fields of a stream out of a record, except those that are named.

    Returns:
        A function from a record, decoded or not, to a record without them; None where there are none.
    """
    _, cut = without_secrets(Classes(declared_in(json_schema)), tuple(named))
    if cut is None:
        return None

    def leave_out(record: Any) -> Any:
        return cut(msgspec.json.decode(record) if isinstance(record, bytes) else record)

    return leave_out


def told(stream: connector_pb2.StreamSpec) -> connector_pb2.StreamSpec:
    """The stream with the classes of its fields beside its schema, and what names suggest of the others."""
    declared = declared_in(stream.json_schema)
    stream.ClearField("field_classes")
    stream.field_classes.extend(messages(Classes(declared)))
    stream.ClearField("proposed_classes")
    try:
        guesses = proposed(json.loads(stream.json_schema or "{}"))
    except (ValueError, RecursionError):
        return stream
    known = Classes({path: kind for path, kind in declared.items() if path != WHOLE}, DataClass.PUBLIC)
    new = {path: kind for path, kind in guesses.items() if known.of(parse_path(path)) is DataClass.PUBLIC}
    stream.proposed_classes.extend(messages(Classes(new)))
    return stream


def decoded(record: Any) -> Any:
    """A record as a value; bytes that are no JSON as text."""
    if not isinstance(record, bytes | bytearray | str):
        return record
    try:
        return msgspec.json.decode(record)
    except _UNREADABLE:
        return record if isinstance(record, str) else record.decode(errors="replace")


__all__ = ["Privacy", "declared_in", "decoded", "messages", "told"]
