"""Applies batches to an SDK session and acknowledges them, one after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.ahead import ahead
from isthmus.host.memory import WriteMemory, check_limits, recognise, remember
from isthmus.host.translate import OPERATIONS, WRITE_MODES, lines_of
from isthmus.resilience import FixRequest, Unsupported
from isthmus.sdk.runtime import (
    BatchId,
    Documents,
    Guarantee,
    Ledger,
    Lines,
    Operation,
    Prepared,
    Session,
    WriteMode,
    WriteResult,
    generations_unsupported,
)
from isthmus.type.v1 import batch_pb2 as batch

CREDIT = 3
# Of large batches one is applied and one waits behind it: more of them would be read again after a death.
_CREDIT_OF_LARGE = 2
MOST_RECORDS = 1000
MOST_BYTES = 1024 * 1024
_MOST_SHOWN = 64 * 1024
_JSON = {batch.ENCODING_UNSPECIFIED, batch.ENCODING_JSON}


class SessionWriter:
    """One `Write` stream on an SDK session.

    Args:
        session: Connected.
        opening: What is going to be written.
        tenant_id: Whose flow it is.
        memory: What is known of the flow.
        ledger: Where writes to a system without transactions are announced; None announces nothing.
    """

    def __init__(
        self,
        session: Session,
        opening: connector.WriteOpen,
        tenant_id: str,
        memory: WriteMemory,
        *,
        ledger: Ledger | None = None,
    ) -> None:
        self._session = session
        self._opening = opening
        self._tenant_id = tenant_id
        self._memory = memory
        self._ledger = ledger
        self._mode = WRITE_MODES.get(opening.mode, WriteMode.UPSERT)
        self._schema = _schema(opening.json_schema)
        self._most_records = MOST_RECORDS
        self._takes_lines = False

    async def ready(self) -> connector.WriteReady:
        """Return what the destination can take.

        Raises:
            Fault: `STREAM_UNKNOWN`, `WRITE_MODE_UNSUPPORTED`, or `FENCED` for an overtaken attempt.
        """
        ready = await self._ready()
        self._memory.admit(self._tenant_id, self._opening.flow_id, self._opening.fencing_token)
        return ready

    async def _ready(self) -> connector.WriteReady:
        stream = await self._session.stream(self._opening.stream)
        if self._mode not in stream.write_modes:
            modes = ", ".join(stream.write_modes) or "no mode at all"
            message = f"Stream {stream.stream} cannot be written in mode {self._mode}; it offers {modes}."
            raise FixRequest("WRITE_MODE_UNSUPPORTED", message, path="mode")
        if self._opening.generation_id and stream.finisher is None:
            raise Unsupported("GENERATIONS_UNSUPPORTED", generations_unsupported(stream.stream).message)
        self._most_records = stream.batch_records
        self._takes_lines = stream.takes_lines
        guarantee = stream.guarantee or Guarantee.AT_LEAST_ONCE
        return connector.WriteReady(
            credit=CREDIT if self._most_records <= MOST_RECORDS else _CREDIT_OF_LARGE,
            max_batch_bytes=MOST_BYTES,
            max_batch_records=self._most_records,
            guarantee=connector.Guarantee.Value(f"GUARANTEE_{guarantee.name}"),
            is_preview=self._opening.is_preview and stream.previewer is not None,
            encodings=[batch.ENCODING_TEXT_LINES] if stream.takes_lines else (),
        )

    async def acknowledge(self, batches: AsyncIterator[batch.Batch]) -> AsyncIterator[connector.BatchAck]:
        """Apply each batch and give its acknowledgement; the one behind it is made ready meanwhile."""
        async with aclosing(ahead(self._prepared(batches))) as coming:
            async for one, prepared in coming:
                # A caller that goes away must not leave a batch half written: it is finished and remembered.
                yield await asyncio.shield(self._apply(one, prepared))

    async def _prepared(
        self, batches: AsyncIterator[batch.Batch]
    ) -> AsyncIterator[tuple[batch.Batch, Prepared]]:
        """Do for each batch what can be done before its turn comes."""
        async for one in batches:
            found = check_limits(one, records=self._most_records, size=MOST_BYTES)
            yield (
                one,
                await self._session.prepare(
                    self._opening.stream,
                    self._records(one, found),
                    one.keys,
                    [OPERATIONS.get(operation, Operation.UPSERT) for operation in one.operations],
                    mode=self._mode,
                    batch_id=self._batch_id(one),
                    primary_key=list(self._opening.primary_key),
                    json_schema=self._schema,
                ),
            )

    def _records(self, one: batch.Batch, found: list[bytes]) -> Documents | Lines:
        if one.encoding in _JSON:
            return Documents(found)
        if one.encoding != batch.ENCODING_TEXT_LINES or not self._takes_lines:
            taken = "JSON records and lines of text" if self._takes_lines else "JSON records"
            raise Unsupported("ENCODING_UNSUPPORTED", f"This connector takes {taken} only.")
        return lines_of(one, found[0])

    async def _apply(self, one: batch.Batch, prepared: Prepared) -> connector.BatchAck:
        opening = self._opening
        self._memory.admit(self._tenant_id, opening.flow_id, opening.fencing_token)
        progress = self._memory.progress(self._tenant_id, opening.flow_id, one.partition)
        async with progress.writing:
            ack = recognise(progress, opening.fencing_token, one.sequence)
            if ack is None:
                ack = _ack(one, await self._session.apply(prepared, ledger=self._ledger))
                remember(progress, ack)
            ack.partition = one.partition
            return ack

    def _batch_id(self, one: batch.Batch) -> BatchId:
        opening = self._opening
        return BatchId(
            opening.flow_id, one.partition, opening.fencing_token, one.sequence, opening.generation_id
        )


class SessionPreviewer(SessionWriter):
    """One `Write` stream that tells what batches would do; nothing of it is remembered."""

    async def ready(self) -> connector.WriteReady:
        """Return what the destination can take, and whether it can tell.

        Raises:
            Fault: `STREAM_UNKNOWN` or `WRITE_MODE_UNSUPPORTED`.
        """
        return await self._ready()

    async def _apply(self, one: batch.Batch, prepared: Prepared) -> connector.BatchAck:
        result = await self._session.preview(prepared)
        ack = _ack(one, result)
        for foreseen in result.foreseen:
            if len(foreseen.before) + len(foreseen.after) <= _MOST_SHOWN:
                ack.outcomes.add(
                    index=foreseen.index,
                    result=batch.RecordOutcome.Result.Value(f"RESULT_{foreseen.effect.upper()}"),
                    before=foreseen.before,
                    after=foreseen.after,
                )
        return ack


def _ack(one: batch.Batch, result: WriteResult) -> connector.BatchAck:
    ack = connector.BatchAck(
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
    for reject in result.rejected:
        ack.outcomes.add(
            index=reject.index,
            result=batch.RecordOutcome.RESULT_REJECTED,
            reason=reject.reason,
            message=reject.message,
            path=reject.path,
        )
    return ack


def _schema(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else None
    except msgspec.MsgspecError:
        return None


__all__ = ["CREDIT", "MOST_BYTES", "MOST_RECORDS", "SessionPreviewer", "SessionWriter"]
