"""Applies batches to an SDK session: decode, write, acknowledge; one batch after another."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.memory import WriteMemory, check_limits, recognise, remember
from isthmus.host.translate import OPERATIONS, WRITE_MODES
from isthmus.resilience import FixRequest, Unsupported
from isthmus.sdk.runtime import BatchId, Guarantee, Operation, Session, WriteMode, WriteResult
from isthmus.type.v1 import batch_pb2 as batch

CREDIT = 4
MOST_RECORDS = 1000
MOST_BYTES = 1024 * 1024
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SessionWriter:
    """One `Write` stream on an SDK session.

    Args:
        session: Connected.
        opening: What is going to be written.
        tenant_id: Whose flow it is.
        memory: What is known of the flow.
    """

    def __init__(
        self, session: Session, opening: connector.WriteOpen, tenant_id: str, memory: WriteMemory
    ) -> None:
        self._session = session
        self._opening = opening
        self._tenant_id = tenant_id
        self._memory = memory
        self._mode = WRITE_MODES.get(opening.mode, WriteMode.UPSERT)
        self._schema = _schema(opening.json_schema)

    async def ready(self) -> connector.WriteReady:
        """Return what the destination can take.

        Raises:
            Fault: `STREAM_UNKNOWN`, `WRITE_MODE_UNSUPPORTED`, or `FENCED` for an overtaken attempt.
        """
        stream = await self._session.stream(self._opening.stream)
        if self._mode not in stream.write_modes:
            modes = ", ".join(stream.write_modes) or "no mode at all"
            message = f"Stream {stream.stream} cannot be written in mode {self._mode}; it offers {modes}."
            raise FixRequest("WRITE_MODE_UNSUPPORTED", message, path="mode")
        self._memory.admit(self._tenant_id, self._opening.flow_id, self._opening.fencing_token)
        guarantee = stream.guarantee or Guarantee.AT_LEAST_ONCE
        return connector.WriteReady(
            credit=CREDIT,
            max_batch_bytes=MOST_BYTES,
            max_batch_records=MOST_RECORDS,
            guarantee=connector.Guarantee.Value(f"GUARANTEE_{guarantee.name}"),
        )

    async def acknowledge(self, batches: AsyncIterator[batch.Batch]) -> AsyncIterator[connector.BatchAck]:
        """Apply each batch and give its acknowledgement."""
        async for one in batches:
            # A caller that goes away must not leave a batch half written: it is finished and remembered.
            yield await asyncio.shield(self._apply(one))

    async def _apply(self, one: batch.Batch) -> connector.BatchAck:
        check_limits(one, records=MOST_RECORDS, size=MOST_BYTES)
        if one.encoding == batch.ENCODING_ARROW_IPC:
            raise Unsupported("ENCODING_UNSUPPORTED", "This connector takes JSON records only.")
        opening = self._opening
        self._memory.admit(self._tenant_id, opening.flow_id, opening.fencing_token)
        progress = self._memory.progress(self._tenant_id, opening.flow_id, one.partition)
        async with progress.writing:
            ack = recognise(progress, opening.fencing_token, one.sequence)
            if ack is None:
                ack = await self._write(one)
                remember(progress, ack)
            ack.partition = one.partition
            return ack

    async def _write(self, one: batch.Batch) -> connector.BatchAck:
        records, indexes, unreadable = _decoded(one.records)
        result = await self._session.write(
            self._opening.stream,
            records,
            [one.keys[index] for index in indexes] if one.keys else (),
            _operations(one, indexes),
            mode=self._mode,
            batch_id=self._batch_id(one),
            primary_key=list(self._opening.primary_key),
            json_schema=self._schema,
        )
        ack = _ack(one, result)
        ack.outcomes.extend(unreadable)
        for reject in result.rejected:
            ack.outcomes.add(
                index=indexes[reject.index],
                result=batch.RecordOutcome.RESULT_REJECTED,
                reason=reject.reason,
                message=reject.message,
                path=reject.path,
            )
        return ack

    def _batch_id(self, one: batch.Batch) -> BatchId:
        return BatchId(self._opening.flow_id, one.partition, self._opening.fencing_token, one.sequence)


def _decoded(
    encoded: Any,
) -> tuple[list[dict[str, Any]], list[int], list[batch.RecordOutcome]]:
    """Return the records that can be read, their places, and the outcomes of the others."""
    try:
        return [_decode(record) for record in encoded], list(range(len(encoded))), []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    records: list[dict[str, Any]] = []
    indexes: list[int] = []
    unreadable: list[batch.RecordOutcome] = []
    for index, record in enumerate(encoded):
        try:
            records.append(_decode(record))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable.append(_unreadable(index))
        else:
            indexes.append(index)
    return records, indexes, unreadable


def _unreadable(index: int) -> batch.RecordOutcome:
    return batch.RecordOutcome(
        index=index,
        result=batch.RecordOutcome.RESULT_REJECTED,
        reason="RECORD_INVALID",
        message="The record is not a JSON object; mend the source or its mapping.",
    )


def _operations(one: batch.Batch, indexes: list[int]) -> list[Operation] | None:
    if not one.operations:
        return None
    return [OPERATIONS.get(one.operations[index], Operation.UPSERT) for index in indexes]


def _ack(one: batch.Batch, result: WriteResult) -> connector.BatchAck:
    return connector.BatchAck(
        partition=one.partition,
        sequence=one.sequence,
        created=result.created,
        updated=result.updated,
        unchanged=result.unchanged,
        deleted=result.deleted,
        repeated_batch=result.repeated,
        api_calls=result.api_calls,
        retries=result.retries,
    )


def _schema(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else None
    except msgspec.MsgspecError:
        return None


__all__ = ["CREDIT", "MOST_BYTES", "MOST_RECORDS", "SessionWriter"]
