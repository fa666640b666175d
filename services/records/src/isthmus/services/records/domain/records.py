"""Records, streams and writers as the hub knows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from isthmus.resilience.faults import FixRequest, Missing
from isthmus.services.records.domain import schemas
from isthmus.services.records.domain.batches import Rejection, WriteMode

INSTANCE_ID = "hub"
MAX_STREAM_BYTES = 255
MAX_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One form of a record.

    Attributes:
        stream: Which stream it belongs to.
        key: Unique inside the stream.
        data: Its content exactly as it arrived.
        version: Counts from 1.
        content_hash: SHA-256 of `data` in hexadecimal.
        is_deleted: The source has deleted it.
        flow_id: The flow that wrote this form.
        execution_id: The execution that wrote this form.
        origin: Where it came from, `connector/instance_id/stream`.
        create_time: When the first form was stored.
        update_time: When this form was stored.
    """

    stream: str
    key: str
    data: str
    version: int
    content_hash: str
    is_deleted: bool
    flow_id: str
    execution_id: str
    origin: str
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a tenant.

    Attributes:
        name: Unique inside the tenant.
        records: Records that are not deleted.
        last_change: Number of the newest change.
        primary_key: Dotted paths that identify a record, as the last writer said.
        json_schema: As the last writer said; empty when none did.
        update_time: When a record last changed.
        is_suppressed: A person's data was erased from it and may not come back.
    """

    name: str
    records: int
    last_change: int
    primary_key: Sequence[str]
    json_schema: str
    update_time: datetime
    is_suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes what: the opening of a write.

    Attributes:
        tenant_id: Whose records.
        stream: Into which stream.
        flow_id: The flow that writes.
        execution_id: The execution that writes.
        fencing_token: Number of the attempt.
        mode: What the writer may do.
        origin: Where the records come from.
        primary_key: Dotted paths of the key.
        json_schema: Schema of the records; empty means unknown.
        generation_id: The complete refresh that the batches belong to; empty for others.
    """

    tenant_id: str
    stream: str
    flow_id: str
    execution_id: str
    fencing_token: int
    mode: WriteMode = WriteMode.UPSERT
    origin: str = ""
    primary_key: Sequence[str] = ()
    json_schema: str = ""
    generation_id: str = ""

    def check(self) -> None:
        """Refuse an opening that cannot be kept apart from others.

        Raises:
            Missing: `STREAM_UNKNOWN`, no stream can have this name.
            FixRequest: `BATCH_INVALID`, flow or token are missing, or the schema is none.
        """
        check_stream(self.stream)
        if not self.flow_id or self.fencing_token < 1:
            message = "Open with the flow's id and a fencing token of at least 1."
            raise FixRequest("BATCH_INVALID", message, path="open")
        texts = (self.flow_id, self.execution_id, self.generation_id, self.origin, *self.primary_key)
        if any("\0" in text or len(text.encode()) > MAX_NAME_BYTES for text in texts):
            message = (
                f"Keep flow, execution, origin and key fields below {MAX_NAME_BYTES} bytes, without NUL."
            )
            raise FixRequest("BATCH_INVALID", message, path="open")
        if self.json_schema and not schemas.is_schema(self.json_schema):
            raise FixRequest(
                "BATCH_INVALID", "Send the schema as a JSON object, or none.", path="open.json_schema"
            )


def check_stream(stream: str) -> None:
    """Refuse a name that no stream of the hub can have.

    Raises:
        Missing: `STREAM_UNKNOWN`.
    """
    if not stream or len(stream.encode()) > MAX_STREAM_BYTES or not stream.isprintable():
        message = f"Name a stream in 1 to {MAX_STREAM_BYTES} bytes of printable text; the hub has no other."
        raise Missing("STREAM_UNKNOWN", message, path="stream")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would become of a record.

    Attributes:
        index: Its place in the batch, from 0.
        before: What the stream holds; empty where it holds nothing.
        after: What it would hold; empty where it would hold nothing.
    """

    index: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did; what is neither counted nor rejected was the same already.

    Attributes:
        partition: The batch's partition.
        sequence: The batch's sequence.
        records: Records in the batch.
        created: Records that are new.
        updated: Records that replaced others.
        deleted: Records that were removed.
        rejections: Records that were refused.
        is_repeated: The batch had taken effect before.
        foreseen: Of a preview: what would become of some of the records.
    """

    partition: str
    sequence: int
    records: int
    created: int = 0
    updated: int = 0
    deleted: int = 0
    rejections: Sequence[Rejection] = field(default_factory=tuple)
    is_repeated: bool = False
    foreseen: Sequence[Foreseen] = field(default_factory=tuple)

    @property
    def unchanged(self) -> int:
        """Records the hub held in the same form, and records that others of the batch replaced."""
        return self.records - self.created - self.updated - self.deleted - len(self.rejections)

    @property
    def changed(self) -> int:
        """Records of which a new version was stored."""
        return self.created + self.updated + self.deleted


__all__ = ["INSTANCE_ID", "Applied", "Foreseen", "StoredRecord", "Stream", "Writer", "check_stream"]
