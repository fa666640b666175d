"""What describes an HTTP interface."""

import math
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal

from isthmus.sdk import Between, FieldClasses, OnDoubt
from isthmus.sdk.api import (
    CursorToken,
    DeltaLink,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paging,
    RangeHeader,
    SinglePage,
)
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator


class _Strict(BaseModel):
    """Refuses what it does not know, so that a misspelt setting is found at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoPaging(_Strict):
    """Everything comes in one answer; entity tags spare the reading of unchanged ones."""

    kind: Literal["none"] = "none"

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return SinglePage()


class NextLinkPaging(_Strict):
    """The body holds the next page's address."""

    kind: Literal["next_link"]
    field: str = Field("next", description="Dotted path of the address in the body.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return NextLink(self.field)


class LinkHeaderPaging(_Strict):
    """The Link header names the next page."""

    kind: Literal["link_header"]
    rel: str = Field("next", description="The relation to follow.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return LinkHeader(self.rel)


class CursorPaging(_Strict):
    """The body holds a token that asks for the next page."""

    kind: Literal["cursor"]
    param: str = Field("cursor", description="Parameter that takes the token.")
    field: str = Field("next_cursor", description="Dotted path of the token in the body.")
    more: str = Field("", description="Dotted path of a flag that says whether more follows.")
    in_body: bool = Field(False, description="The token goes into the posted body instead of the query.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return CursorToken(self.param, self.field, self.more, self.in_body)


class PagePaging(_Strict):
    """A parameter counts the pages."""

    kind: Literal["page"]
    param: str = Field("page", description="Parameter that takes the page's number.")
    first: int = Field(1, description="Number of the first page.")
    size: int = Field(0, ge=0, description="Records asked for at a time; 0 leaves it to the system.")
    size_param: str = Field("", description="Parameter that takes the size.")
    pages: str = Field("", description="Dotted path of the number of pages, where the system tells.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        return PageNumber(self.param, self.first, self.size, self.size_param, records_path, self.pages)


class OffsetPaging(_Strict):
    """A parameter counts the records so far."""

    kind: Literal["offset"]
    param: str = Field("offset", description="Parameter that takes the number of records so far.")
    size: int = Field(100, ge=1, description="Records asked for at a time.")
    size_param: str = Field("limit", description="Parameter that takes the size.")
    total: str = Field("", description="Dotted path of the number of all records, where the system tells.")
    first: int = Field(0, description="What the first record counts as; 1 for startIndex.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        return Offset(self.param, self.size, self.size_param, records_path, self.total, self.first)


class RangePaging(_Strict):
    """The Range header asks for records from one number to another."""

    kind: Literal["range"]
    unit: str = Field("items", description="Unit of the Range header.")
    size: int = Field(100, ge=1, description="Records asked for at a time.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return RangeHeader(self.unit, self.size)


class DeltaPaging(_Strict):
    """Pages end with a token that the next reading starts with."""

    kind: Literal["delta"]
    next: str = Field("@odata.nextLink", description="Path of the next page's address in the body.")
    delta: str = Field("@odata.deltaLink", description="Path of the token's address in the last page.")

    def component(self, records_path: str) -> Paging:
        """The SDK's component for these settings."""
        del records_path
        return DeltaLink(self.next, self.delta)


AnyPaging = Annotated[
    NoPaging
    | NextLinkPaging
    | LinkHeaderPaging
    | CursorPaging
    | PagePaging
    | OffsetPaging
    | RangePaging
    | DeltaPaging,
    Field(discriminator="kind"),
]


class Cursor(_Strict):
    """How to ask only for what changed."""

    field: str = Field(description="Dotted path of the field that grows with every change.")
    param: str = Field("since", description="Query parameter that takes the last value seen.")
    start: str = Field("", description="Value of the first reading; empty reads everything.")
    ordered: bool = Field(False, description="The system gives the oldest change first.")


class Lookup(_Strict):
    """How to find out whether the system holds a record, and under which id."""

    path: str = Field(description="Path to GET, for example /items; braces as in `params`.")
    params: dict[str, str] = Field(
        {},
        description="Query parameters; {correlation_id}, {key} and fields of the record are filled in.",
    )
    records_path: str = Field("", description="Dotted path of the found records; empty means the body.")
    id_field: str = Field("id", description="Dotted path of the system's own id in a found record.")
    lag_seconds: float = Field(
        5.0, ge=0, le=60, description="How long after a request the system may not find its record yet."
    )
    always: bool = Field(
        False, description="Look for every record that is new to the flow, not only after a crash."
    )


class Update(_Strict):
    """How a record is changed that the system holds under an id of its own."""

    method: Literal["PATCH", "PUT", "POST"] = "PATCH"
    path: str = Field(description="Path with {external_id}, for example /items/{external_id}.")


class Write(_Strict):
    """How records are written."""

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: str = Field(description="Path with fields in braces, for example /items/{id}.")
    batch: bool = Field(False, description="Send all records of a batch as one array.")
    wrap: str = Field("", description="Name of the field that holds the array; empty sends it bare.")
    success: tuple[int, ...] = Field(
        (), description="Further statuses that count as written, for example 409."
    )
    rejects: tuple[int, ...] = Field(
        (400, 409, 413, 422), description="Statuses that concern one record; it goes to quarantine."
    )
    idempotency_header: str = Field("", description="Header that takes a key by which repetitions are known.")
    delete_path: str = Field(
        "", description="Path to DELETE removed records at, {external_id} included; empty rejects deletions."
    )
    id_field: str = Field("", description="Dotted path of the system's own id in the answer to a create.")
    correlation_field: str = Field(
        "", description="Dotted path in the body for a text by which `lookup` finds the record again."
    )
    lookup: Lookup | None = Field(
        None, description="How to find a record that may have been created before a crash."
    )
    update: Update | None = Field(
        None, description="How to change a record under the system's own id; empty sends it like a new one."
    )
    on_doubt: OnDoubt = Field(
        OnDoubt.QUARANTINE,
        description="Without lookup: what becomes of a record whose first request got no answer.",
    )

    @model_validator(mode="after")
    def _ids_are_known(self) -> "Write":
        if self.update is not None and not (self.id_field or self.lookup):
            raise ValueError("update needs id_field or lookup, which tell the id")
        return self


class Partitions(_Strict):
    """A parameter whose values divide the records, for example one project each."""

    param: str = Field(
        min_length=1,
        description="Name of the query parameter; where `path` has it in braces, it goes there instead.",
    )
    values: tuple[str, ...] = Field(
        min_length=1,
        max_length=1000,
        description="Its values; each is a partition with a position of its own.",
    )
    into: str = Field("", description="Field that takes the value in each record; empty leaves it out.")
    at_a_time: int = Field(
        0, ge=0, le=64, description="Most partitions read side by side; 1 reads one after another."
    )

    @model_validator(mode="after")
    def _values_are_partitions(self) -> "Partitions":
        if len(set(self.values)) != len(self.values) or not all(0 < len(one) <= 200 for one in self.values):
            raise ValueError("each of the values is there once, and has 1 to 200 characters")
        return self


class Range(_Strict):
    """How the system is asked for the records of a span of time."""

    field: str = Field(min_length=1, description="Dotted path of a record's time.")
    from_param: str = Field("", description="Query parameter with the first moment.")
    until_param: str = Field(
        "", description="Query parameter with the end; the system may take it as included."
    )
    format: Literal["iso", "date", "epoch", "epoch_ms"] = Field(
        "iso", description="How the parameters are written: 2026-01-01T00:00:00Z, 2026-01-01, or a number."
    )

    def params(self, between: Between | None) -> dict[str, str | int]:
        """The parameters for a span; together they ask for all of it, and perhaps for some more."""
        if between is None:
            return {}
        start, end = between.start.astimezone(UTC), between.end.astimezone(UTC)
        if self.format == "date" and end.time() != time():
            end += timedelta(days=1)
        written = ((self.from_param, self._written(start)), (self.until_param, self._written(end, up=True)))
        return {name: value for name, value in written if name}

    def _written(self, moment: datetime, *, up: bool = False) -> str | int:
        if self.format == "iso":
            return moment.isoformat().replace("+00:00", "Z")
        if self.format == "date":
            return moment.date().isoformat()
        number = moment.timestamp() * (1000 if self.format == "epoch_ms" else 1)
        return math.ceil(number) if up else math.floor(number)


class StreamSettings(_Strict):
    """One kind of record."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")
    description: str = ""
    path: str = Field("", description="Path below the base address; empty for streams that are only written.")
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str | int | float | bool] = Field({}, description="Query parameters of every page.")
    body: dict[str, Any] = Field({}, description="JSON body of every page, for searches by POST.")
    headers: dict[str, str] = {}
    records_path: str = Field("", description="Dotted path of the records in the body; empty means the body.")
    records_optional: bool = Field(False, description="The system leaves the list out when it is empty.")
    shape: Literal["list", "object", "map"] = Field(
        "list", description="A list of records, one record, or an object whose values are records."
    )
    name_field: str = Field("_name", description="With shape map: field that takes each record's name.")
    key: tuple[str, ...] = Field((), description="Dotted paths of the fields that identify a record.")
    cursor: Cursor | None = None
    range: Range | None = Field(
        None, description="How records of a span of time are asked for, for backfills."
    )
    paging: AnyPaging = NoPaging()
    partitions: Partitions | None = Field(
        None, description="Values of a parameter by which the records are read in parts, side by side."
    )
    record_schema: dict[str, Any] = Field({}, description="JSON Schema of a record.")
    write: Write | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "StreamSettings":
        if not self.path and self.write is None:
            raise ValueError("a stream needs a path to read from, or write, or both")
        return self


class Settings(BaseModel):
    """An HTTP interface that speaks JSON."""

    model_config = ConfigDict(extra="forbid")

    base_url: HttpUrl = Field(description="Base address, for example https://acme.example/api/v2.")
    headers: dict[str, str] = Field(
        {}, description="Sent with every request; secrets belong into the credential."
    )
    rate: str = Field(
        "", description="Most requests, for example 10/s or 600/m.", pattern=r"^(\d+(\.\d+)?/[smhd])?$"
    )
    verify_tls: bool = Field(True, description="Check certificates; leave it on.")
    authorities: str = Field(
        "",
        max_length=200_000,
        description="Certificates in PEM of authorities of your own, trusted too.",
    )
    needed_scopes: list[str] = Field(
        default_factory=list,
        max_length=100,
        description="OAuth scopes that the interface wants; a check compares them with what was granted.",
    )
    check_path: str = Field(
        "", description="Path that answers with success when credential and rights are good."
    )
    streams: list[StreamSettings] = Field(min_length=1)
    classes: FieldClasses = Field(
        default_factory=FieldClasses, description="How sensitive the fields of the streams are."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError("two streams have the same name")
        return self
