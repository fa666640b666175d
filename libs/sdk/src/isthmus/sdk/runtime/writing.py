"""Writes one batch: models out of dictionaries, rejects back to their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.sdk.answers import failure_of
from isthmus.sdk.connector import Connector
from isthmus.sdk.context import Context, Stats, Work
from isthmus.sdk.declared import batch_model
from isthmus.sdk.documents import Beside, Documents
from isthmus.sdk.failures import ConfigurationFailure
from isthmus.sdk.lines import Lines
from isthmus.sdk.model import BatchId, Operation, Stream, WriteMode
from isthmus.sdk.page import Batch, Foreseen, Rejected, reject_of
from isthmus.sdk.runtime.failing import failing
from pydantic import BaseModel, ValidationError

_PLAIN = {Operation.UPSERT}


@dataclass(frozen=True)
class WriteResult:
    """What became of a batch; everything that is not in `rejected` is durable.

    Attributes:
        repeated: The destination had applied this batch before; it took no effect now.
        foreseen: Of a preview: what would become of some records.
    """

    rejected: list[Rejected] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    repeated: bool = False
    api_calls: int = 0
    retries: int = 0
    throttled: int = 0
    foreseen: list[Foreseen] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """A batch that can be written as soon as the one before it is."""

    stream: Stream
    batch: Batch[Any] = field(repr=False)


async def prepare_batch(
    connector: Connector[Any],
    context: Context,
    stream: Stream,
    records: Sequence[dict[str, Any]],
    *,
    keys: Sequence[str],
    operations: Sequence[Operation] | None,
    mode: WriteMode,
    batch_id: BatchId,
    primary_key: Sequence[str],
    json_schema: Mapping[str, Any] | None,
) -> Prepared:
    """Makes a batch, and does what can be done before its turn to be written comes.

    Raises:
        Failure: What the connector's preparer failed with.
    """
    batch: Batch[Any] = Batch(
        records=[],
        mode=mode,
        id=batch_id,
        json_schema=json_schema,
        primary_key=tuple(primary_key) or stream.primary_key,
    )
    operations = operations or ()
    waits = stream.takes_lines if isinstance(records, Lines) else stream.preparer is not None
    if waits and isinstance(records, Documents | Lines) and set(operations) <= _PLAIN:
        batch.records, batch.indexes = records, Beside(records, range(records.expected))
        batch.keys = Beside(records, keys) if keys else ()
    else:
        _fill(batch, batch_model(stream.writer) if stream.writer else None, records, keys, operations)
    if stream.preparer is not None and batch.records:
        async with failing(connector, context):
            stream.preparer(batch)
    return Prepared(stream, batch)


async def write_batch(connector: Connector[Any], context: Context, prepared: Prepared) -> WriteResult:
    """Hands one batch to the connector.

    Raises:
        Failure: Nothing of the batch is acknowledged; it has to come again.
    """
    work = Work()
    if prepared.batch.records:
        async with failing(connector, context, work):
            await connector.send_data(prepared.stream, prepared.batch)
            refuse_unseen(work)
    return result_of(prepared.batch, context, work.stats)


async def preview_batch(connector: Connector[Any], context: Context, prepared: Prepared) -> WriteResult:
    """Lets the connector say what writing one batch would do.

    Raises:
        ConfigurationFailure: `PREVIEW_UNSUPPORTED`.
        Failure: Nothing is known of the batch.
    """
    previewer, work = prepared.stream.previewer, Work()
    if previewer is None:
        message = f"Nobody can say what writing {prepared.stream.stream} would do; do not send previews."
        raise ConfigurationFailure("PREVIEW_UNSUPPORTED", message)
    if prepared.batch.records:
        async with failing(connector, context, work):
            await previewer(prepared.batch)
    return replace(result_of(prepared.batch, context, work.stats), foreseen=prepared.batch.foreseen)


def refuse_unseen(work: Work) -> None:
    """Fails for a refusal that the connector did not look at: it must not pass for a written record.

    Raises:
        Failure: Typed by the refusal.
    """
    unseen = next((reply for reply in work.refusals if not reply.examined), None)
    if unseen is not None:
        raise failure_of(unseen.raw_status, unseen.url, unseen.headers, "A write to")


def _fill(
    batch: Batch[Any],
    model: Any,
    records: Sequence[dict[str, Any]],
    keys: Sequence[str],
    operations: Sequence[Operation],
) -> None:
    kept: list[Any] = []
    indexes: list[int] = []
    typed = isinstance(model, type) and issubclass(model, BaseModel)
    places: Sequence[int] = range(len(records))
    if isinstance(records, Documents):
        places = records.places
        batch.rejected += map(_unreadable, records.unreadable)
    for index, record in zip(places, records, strict=True):
        deletes = batch.mode == WriteMode.DELETE or (
            bool(operations) and operations[index] != Operation.UPSERT
        )
        try:
            kept.append(model.model_validate(record) if typed and not deletes else record)
        except ValidationError as error:
            reject = reject_of(record, error)
            batch.rejected.append(Rejected(index, reject.reason, reject.message, reject.path))
        else:
            indexes.append(index)
    batch.records, batch.indexes = kept, indexes
    batch.keys = [keys[index] for index in indexes] if keys else ()
    batch.operations = [operations[index] for index in indexes] if operations else ()


def _unreadable(index: int) -> Rejected:
    message = "The record is not a JSON object; mend the source or its mapping."
    return Rejected(index, "RECORD_INVALID", message)


def result_of(batch: Batch[Any], context: Context, used: Stats) -> WriteResult:
    """What became of a batch; records that nobody counted are taken as updated or deleted."""
    documents = batch.records if isinstance(batch.records, Documents | Lines) else None
    refused = len({reject.index for reject in batch.rejected} & set(batch.indexes)) if batch.rejected else 0
    if documents is not None:
        batch.rejected += map(_unreadable, documents.unreadable)
    told = batch.created + batch.updated + batch.unchanged + batch.deleted
    rest = max(0, (documents.expected if documents is not None else len(batch.records)) - refused - told)
    removed = min(rest, max(0, len(batch.deletions) - batch.deleted)) if batch.deletions else 0
    return WriteResult(
        rejected=[
            replace(reject, message=context.redact(reject.message))
            for reject in sorted(batch.rejected, key=lambda reject: reject.index)
        ],
        created=batch.created,
        updated=batch.updated + rest - removed,
        unchanged=batch.unchanged,
        deleted=batch.deleted + removed,
        repeated=batch.repeated,
        api_calls=used.api_calls,
        retries=used.retries,
        throttled=used.throttled,
    )
