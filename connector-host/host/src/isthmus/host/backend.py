"""The port between the host and its connector: in process, or another process behind the contract."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.sdk.runtime import Between, ShapedRecords, Shaper
from isthmus.type.v1 import batch_pb2 as batch


@dataclass(frozen=True, slots=True)
class Bound:
    """A configured connection that a connector is to work on.

    Attributes:
        tenant_id: Whose connection it is.
        instance_id: Empty while a configuration is tried before it is saved.
        name: What people call the instance.
        configuration: As saved or as given; holds no secret.
        revision: Number of the saved configuration.
        auth_config_id: The credential it uses; empty where it needs none.
        material: The credential's material, as both kinds of connectors read it.
        secret_version: Number of the secret.
        token_id: Tells access tokens apart that were got with the secret; empty where there are none.
        scopes: What the access token was granted; None where there is none.
        limits: What the instance says about its limits; empty means the defaults.
    """

    tenant_id: str
    instance_id: str
    name: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    auth_config_id: str = ""
    material: Mapping[str, Any] | None = field(default=None, repr=False)
    secret_version: int = 0
    token_id: str = ""
    scopes: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def secret_identity(self) -> tuple[int, str]:
        """Tells secrets apart, without saying anything about them."""
        return self.secret_version, self.token_id

    @property
    def title(self) -> str:
        """How messages to people name it."""
        return self.name or self.instance_id or "the new configuration"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read.

    Attributes:
        shaper: Gives the shape of what is wanted of each record; None where records are wanted as they are.
        between: Ask the system only for what lies in this span; None asks for everything.
    """

    stream: str
    partition: str = ""
    mode: int = connector.READ_MODE_FULL
    position: batch.Position | None = None
    max_batch_records: int = 1000
    limit: int = 0
    shaper: Shaper | None = None
    between: Between | None = None


@dataclass(frozen=True, slots=True)
class SourceReject:
    """A record that the source gave and that cannot travel on."""

    record: Any
    reason: str
    message: str
    path: str = ""


@dataclass(slots=True)
class SourcePage:
    """Records that came together, with the position after them.

    Attributes:
        records: Dictionaries, or the bytes of one JSON object each where nobody has looked inside yet, or
            `ShapedRecords` where that was asked for.
        keys: One for each record; empty where the source gives none.
        operations: Values of the contract's `Operation`; None means that all are upserts.
        position: Where reading goes on behind the page; None where that is not known.
        rejected: Records that cannot travel on.
        barrier: The source waits for the acknowledgement of this page.
        quarantine_ids: For records that come out of quarantine, one for each record.
    """

    records: Sequence[Any]
    keys: Sequence[str] = ()
    operations: Sequence[int] | None = None
    position: batch.Position | None = None
    rejected: Sequence[SourceReject] = ()
    barrier: bool = False
    quarantine_ids: Sequence[str] = ()

    def original(self, index: int) -> Any:
        """One record as the source gave it."""
        records = self.records
        return records.original(index) if isinstance(records, ShapedRecords) else records[index]


class Originals(Sequence[Any]):
    """Some records of a page as the source gave them, each made when somebody looks at it.

    Args:
        page: Where they are.
        places: Which they are.
    """

    __slots__ = ("_page", "_places")

    def __init__(self, page: SourcePage, places: Sequence[int]) -> None:
        self._page = page
        self._places = places

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "Originals": ...
    def __getitem__(self, index: int | slice) -> Any:
        places = self._places[index]
        return self._page.original(places) if isinstance(places, int) else Originals(self._page, places)

    def __len__(self) -> int:
        return len(self._places)


class SourceReading(Protocol):
    """An asynchronous iterator of pages, with counts."""

    def __aiter__(self) -> AsyncIterator[SourcePage]:
        """Give the pages, in order."""
        ...

    def end(self) -> connector.ReadEnd:
        """Return the counts so far and, after the last page, where the next reading starts."""
        ...

    def notices(self) -> list[connector.Notice]:
        """Return what the source found worth telling since the last call."""
        ...


class Connection(Protocol):
    """A connector with one instance's configuration and credential."""

    async def streams(self, *, fresh: bool = False) -> list[connector.StreamSpec]:
        """Return the streams by name; fresh ones are looked up at the system."""
        ...

    async def partitions(self, stream: str, *, mode: int = 0, known: Sequence[str] = ()) -> list[str]:
        """Return the parts of a stream for reading it in a mode, at least one.

        In the known ones a reading has come somewhere already.
        """
        ...

    def read(self, wanted: Wanted) -> AbstractAsyncContextManager[SourceReading]:
        """Start reading; leaving the block stops it."""
        ...

    def write(
        self, opening: connector.WriteOpen, batches: AsyncIterator[batch.Batch]
    ) -> AsyncIterator[connector.WriteResponse]:
        """Answer `ready`, then acknowledge each batch in order once it is durable."""
        ...

    async def finish(self, request: connector.FinishGenerationRequest) -> connector.FinishGenerationResponse:
        """Remove what a complete refresh has not shown."""
        ...

    async def invoke(self, request: connector.InvokeRequest) -> connector.InvokeResponse:
        """Run a named action."""
        ...

    async def receive(self, request: connector.ReceiveRequest) -> connector.ReceiveResponse:
        """Verify and decode one inbound webhook."""
        ...

    async def rotate(self, request: connector.RotateSecretRequest) -> connector.RotateSecretResponse:
        """Bring a new secret into force at the system, or take an old one out of it."""
        ...

    async def notify(self, change: int) -> None:
        """Tell the connector what happened to its instance."""
        ...


class Backend(Protocol):
    """The one connector of a host."""

    @property
    def spec(self) -> connector.ConnectorSpec:
        """Identity and abilities."""
        ...

    def connect(self, bound: Bound) -> AbstractAsyncContextManager[Connection]:
        """Open a connection, or take one that is open already."""
        ...

    def check(self, bound: Bound) -> AsyncIterator[connector.CheckStep]:
        """Try a configuration and its credential, one step after another."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


__all__ = [
    "Backend",
    "Bound",
    "Connection",
    "Originals",
    "SourcePage",
    "SourceReading",
    "SourceReject",
    "Wanted",
]
