"""A destination that remembers what it was sent, and fails when told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import msgspec
from host_fakes import refuse
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.resilience import Precondition
from isthmus.type.v1 import batch_pb2 as batch


@dataclass
class Hub(connector_grpc.ConnectorServiceServicer):
    """A transactional destination: remembers token and sequence with the records, fences zombies."""

    credit: int = 4
    most_records: int = 0
    pause: float = 0.0
    open_gate: asyncio.Event = field(default_factory=asyncio.Event)
    data: dict[str, bytes] = field(default_factory=dict)
    versions: int = 0
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    openings: list[connector.WriteOpen] = field(default_factory=list)
    batches: list[batch.Batch] = field(default_factory=list)
    in_flight: int = 0
    reject: Callable[[dict[str, Any]], bool] | None = None
    before_ack: Callable[[batch.Batch], Any] = lambda one: None
    previews: bool = False
    previewed: int = 0
    shown: dict[str, set[str]] = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)
    finishing: list[connector.FinishGenerationRequest] = field(default_factory=list)
    after_finish: Callable[[], Any] = lambda: None
    is_first: bool = False

    def __post_init__(self) -> None:
        self.open_gate.set()

    async def Write(self, request_iterator: Any, context: Any) -> AsyncIterator[connector.WriteResponse]:
        opening = (await anext(request_iterator)).open
        self.openings.append(opening)
        yield connector.WriteResponse(
            ready=connector.WriteReady(
                credit=self.credit,
                max_batch_records=self.most_records,
                is_preview=self.previews and opening.is_preview,
            )
        )
        async for request in request_iterator:
            await self.open_gate.wait()
            await asyncio.sleep(self.pause)
            if self.previews and opening.is_preview:
                ack = self._foreseen(request.batch)
            else:
                ack = await self._apply(opening, request.batch, context)
            await asyncio.sleep(0)
            if self.before_ack(request.batch):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            yield connector.WriteResponse(ack=ack)

    async def FinishGeneration(self, request: Any, context: Any) -> connector.FinishGenerationResponse:
        self.finishing.append(request)
        if request.open.is_preview:
            gone = sorted(set(self.data) - set(request.shown_keys))
            told = [connector.AbsentRecord(key=key, before='{"id": 0}') for key in gone[:5]]
            return connector.FinishGenerationResponse(removed=len(gone), absent=told)
        generation = request.open.generation_id
        shown = self.shown.get(generation, set())
        if generation not in self.finished:
            gone = set(self.data) - shown
            self.finished[generation] = len(gone)
            for key in gone:
                del self.data[key]
        if self.after_finish():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        return connector.FinishGenerationResponse(
            shown=len(shown), removed=self.finished[generation], is_first=self.is_first
        )

    async def _apply(self, opening: Any, one: batch.Batch, context: Any) -> connector.BatchAck:
        token, sequence = self.seen.get(one.partition, (0, 0))
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        if opening.fencing_token < token:
            await refuse(context, Precondition("FENCED", "A newer attempt writes this flow; stop."))
        rejected = [
            index
            for index, data in enumerate(one.records)
            if self.reject is not None and self.reject(msgspec.json.decode(data))
        ]
        for index in rejected:
            ack.outcomes.add(
                index=index, result=batch.RecordOutcome.RESULT_REJECTED, reason="BAD", message="It is bad."
            )
        if opening.fencing_token == token and one.sequence <= sequence:
            ack.repeated_batch = True
            return ack
        assert one.sequence == (sequence if opening.fencing_token == token else 0) + 1
        self.batches.append(one)
        self.shown.setdefault(opening.generation_id, set()).update(one.keys)
        for index, (key, data) in enumerate(zip(one.keys, one.records, strict=True)):
            if index not in rejected:
                self._store(ack, key, data)
        self.seen[one.partition] = (opening.fencing_token, one.sequence)
        return ack

    def _foreseen(self, one: batch.Batch) -> connector.BatchAck:
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        result = batch.RecordOutcome
        for index, (key, data) in enumerate(zip(one.keys, one.records, strict=True)):
            before = self.data.get(key)
            if self.reject is not None and self.reject(msgspec.json.decode(data)):
                ack.outcomes.add(
                    index=index, result=result.RESULT_REJECTED, reason="BAD", message="It is bad."
                )
            elif before == data:
                ack.unchanged += 1
            else:
                ack.created += before is None
                ack.updated += before is not None
                effect = result.RESULT_CREATED if before is None else result.RESULT_UPDATED
                ack.outcomes.add(
                    index=index, result=effect, before=(before or b"").decode(), after=data.decode()
                )
        self.previewed += len(one.records)
        return ack

    def _store(self, ack: connector.BatchAck, key: str, data: bytes) -> None:
        if key not in self.data:
            ack.created += 1
        elif self.data[key] == data:
            ack.unchanged += 1
            return
        else:
            ack.updated += 1
        self.data[key] = data
        self.versions += 1
