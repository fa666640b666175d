"""Puts records aside durably, whole and with their reasons."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import msgspec
from isthmus.host.attempt.pieces import Reason, Reject
from isthmus.host.attempt.privacy import Privacy, messages
from isthmus.host.control import ControlPlane, call, persist
from isthmus.host.texts import clean
from isthmus.records.v1 import records_pb2 as records
from isthmus.resilience import DataLost, FixRequest
from isthmus.type.v1 import privacy_pb2

DELETION = "SOURCE_DELETED_RECORD"
_MOST_RECORDS = 1000
_MOST_BYTES = 1024 * 1024
_LARGE_SECONDS = 120.0
_DELETED = Reason(DELETION, "The source deleted this record; requeue it to delete it at the destination.")


class Quarantine:
    """Where one attempt puts records that cannot arrive.

    Args:
        control: Where the records service is.
        flow_id: Whose records they are.
        execution_id: Who puts them there.
        mapping_id: What mapped them; empty for no mapping.
        mapping_version: Its version.
        privacy: How sensitive the records are.
        patience: Seconds to wait for a records service that is away.
    """

    def __init__(
        self,
        control: ControlPlane,
        *,
        flow_id: str,
        execution_id: str,
        mapping_id: str = "",
        mapping_version: int = 0,
        privacy: Privacy | None = None,
        patience: float = 60.0,
    ) -> None:
        self._privacy = privacy or Privacy()
        self._control = control
        self._flow_id = flow_id
        self._execution_id = execution_id
        self._mapping_id = mapping_id
        self._mapping_version = mapping_version
        self._patience = patience

    async def add(self, rejects: Sequence[Reject]) -> list[str]:
        """Put records aside; on return they are durable, and whole.

        Returns:
            Where each of them waits now.

        Raises:
            Fault: Quarantine is away for too long, or `RECORD_TOO_LARGE`: one is larger than it keeps.
        """
        ids: list[str] = []
        requests = self._requests(rejects)
        # A large record takes a while to be packed, which must not keep others waiting.
        while (request := await asyncio.to_thread(next, requests, None)) is not None:
            large = len(request.records) == 1 and request.records[0].ByteSize() > _MOST_BYTES
            ids += await (self._stored_large(request.records[0]) if large else self._stored(request))
        return ids

    async def resolve(self, quarantine_ids: Sequence[str]) -> None:
        """Mark requeued records as delivered."""
        for start in range(0, len(quarantine_ids), _MOST_RECORDS):
            request = records.ResolveQuarantinedRequest(
                quarantine_ids=quarantine_ids[start : start + _MOST_RECORDS], execution_id=self._execution_id
            )
            await self._call(self._control.records.ResolveQuarantined, request)

    async def _stored(self, request: records.QuarantineRecordsRequest) -> list[str]:
        answer = await self._call(self._control.records.QuarantineRecords, request)
        return list(answer.quarantine_ids)

    async def _stored_large(self, entry: records.QuarantinedRecord) -> list[str]:
        packed = entry.record.encode()
        entry.ClearField("record")

        async def pieces() -> AsyncIterator[records.QuarantineLargeRecordRequest]:
            yield records.QuarantineLargeRecordRequest(record=entry)
            for start in range(0, len(packed), _MOST_BYTES):
                yield records.QuarantineLargeRecordRequest(piece=packed[start : start + _MOST_BYTES])
                await asyncio.sleep(0)  # a record of many pieces must not keep others waiting

        method = self._control.records.QuarantineLargeRecord
        try:
            answer = await persist(
                lambda: call(method, pieces(), seconds=_LARGE_SECONDS), seconds=self._patience
            )
        except FixRequest as refused:
            # The reading ends before this record, so that the source keeps what quarantine cannot.
            raise DataLost(refused.reason, f"A record cannot be quarantined: {refused.message}") from refused
        return [answer.quarantine_id]

    async def _call(self, method: Any, request: Any) -> Any:
        return await persist(lambda: call(method, request), seconds=self._patience)

    def _requests(self, rejects: Sequence[Reject]) -> Iterator[records.QuarantineRecordsRequest]:
        request, size = records.QuarantineRecordsRequest(), 0
        for reject in rejects:
            entry = self._entry(reject)
            weight = entry.ByteSize() + 8
            if request.records and (len(request.records) >= _MOST_RECORDS or size + weight > _MOST_BYTES):
                yield request
                request, size = records.QuarantineRecordsRequest(), 0
            request.records.append(entry)
            size += weight
        if request.records:
            yield request

    def _entry(self, reject: Reject) -> records.QuarantinedRecord:
        privacy = self._privacy
        text, is_binary = preserved(privacy.kept(reject.record))
        entry = records.QuarantinedRecord(
            flow_id=self._flow_id,
            execution_id=self._execution_id,
            stage=records.QuarantinedRecord.Stage.ValueType(reject.stage),
            key=clean(reject.key),
            record=text,
            is_binary=is_binary,
            mapping_id=self._mapping_id,
            mapping_version=self._mapping_version,
        )
        if privacy.source:
            entry.field_classes.extend(messages(privacy.source.classes))
            entry.unclassified = cast("privacy_pb2.DataClass.ValueType", int(privacy.source.classes.default))
        reasons = privacy.reasons(reject.reasons, reject.record)
        for reason in (*reasons, *((_DELETED,) if reject.deletes else ())):
            entry.reasons.add(
                reason=clean(reason.reason, 100),
                message=clean(reason.message, 2000),
                target_path=clean(reason.target_path),
                source_path=clean(reason.source_path),
            )
        return entry


def preserved(record: Any) -> tuple[str, bool]:
    """Return a record as text, and whether that text is base64 because the record is no JSON."""
    if isinstance(record, bytes | bytearray):
        try:
            text = bytes(record).decode()
            json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return base64.b64encode(record).decode(), True
        return text, False
    try:
        return msgspec.json.encode(record).decode(), False
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return json.dumps(record, default=str), False


def _refuse(constant: str) -> None:
    raise ValueError(constant)


__all__ = ["DELETION", "Quarantine", "preserved"]
