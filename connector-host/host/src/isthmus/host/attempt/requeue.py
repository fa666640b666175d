"""Reads records out of quarantine instead of the source."""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence

import grpc
from isthmus.host.attempt.privacy import Privacy
from isthmus.host.attempt.quarantine import DELETION
from isthmus.host.backend import SourcePage
from isthmus.host.control import ControlPlane, call, fault_from, persist
from isthmus.records.v1 import records_pb2 as records
from isthmus.resilience import Missing
from isthmus.type.v1 import batch_pb2 as batch

_Record = records.QuarantinedRecord
_PAGE = 500
_FEW = 20
# What a page may weigh before it ends, because large records must not gather in memory.
_PAGE_BYTES = 4 * 1024 * 1024
_LARGE_SECONDS = 120.0


async def requeued_pages(
    control: ControlPlane,
    flow_id: str,
    quarantine_ids: Sequence[str],
    *,
    patience: float,
    privacy: Privacy | None = None,
) -> AsyncIterator[SourcePage]:
    """Give the records that wait to be delivered again; those that have been decided otherwise are left out.

    Args:
        control: Where the records service is.
        flow_id: Whose records.
        quarantine_ids: Which ones; empty means all that are requeued in the flow.
        patience: Seconds to wait for a records service that is away.
        privacy: Learns what was known of the records when they were read.
    """
    waiting = _waiting(control, flow_id, quarantine_ids, patience)
    found: list[_Record] = []
    contents: list[bytes] = []
    weight = 0
    async for record in waiting:
        if privacy is not None:
            privacy.learn(record.field_classes)
        content = _content(record, await _text(control, record, patience))
        if found and (len(found) >= _PAGE or weight + len(content) > _PAGE_BYTES):
            yield _page(found, contents)
            found, contents, weight = [], [], 0
        found.append(record)
        contents.append(content)
        weight += len(content)
    yield _page(found, contents)


async def _waiting(
    control: ControlPlane, flow_id: str, quarantine_ids: Sequence[str], patience: float
) -> AsyncIterator[_Record]:
    if quarantine_ids and len(quarantine_ids) <= _FEW:
        for quarantine_id in quarantine_ids:
            record = await _one(control, quarantine_id, patience)
            if record is not None and _is_requeued(record, flow_id):
                yield record
        return
    wanted = frozenset(quarantine_ids)
    async for listed in _listed(control, flow_id, patience):
        for record in listed:
            if not wanted or record.quarantine_id in wanted:
                yield record


async def _text(control: ControlPlane, record: _Record, patience: float) -> bytes:
    """The record's text, which answers leave out where it is large."""
    if record.record or not record.record_bytes:
        return record.record.encode()
    request = records.ReadQuarantinedRequest(quarantine_id=record.quarantine_id)

    async def read() -> bytes:
        try:
            pieces = control.records.ReadQuarantined(request, timeout=_LARGE_SECONDS)
            return b"".join([answer.piece async for answer in pieces])
        except grpc.RpcError as error:
            raise fault_from(error) from error

    return await persist(read, seconds=patience)


async def _one(control: ControlPlane, quarantine_id: str, patience: float) -> _Record | None:
    request = records.GetQuarantinedRequest(quarantine_id=quarantine_id)
    try:
        answer = await persist(lambda: call(control.records.GetQuarantined, request), seconds=patience)
    except Missing:
        return None
    found: _Record = answer.record
    return found


async def _listed(control: ControlPlane, flow_id: str, patience: float) -> AsyncIterator[list[_Record]]:
    """All requeued records of a flow, page by page; the tokens are keys, so changed states skip nothing."""
    token = ""
    while True:
        request = records.ListQuarantineRequest(
            flow_id=flow_id, statuses=[_Record.STATUS_REQUEUED], page_size=_PAGE, page_token=token
        )
        answer = await persist(lambda: call(control.records.ListQuarantine, request), seconds=patience)  # noqa: B023
        yield list(answer.records)
        token = answer.next_page_token
        if not token:
            return


def _is_requeued(record: _Record, flow_id: str) -> bool:
    return record.status == _Record.STATUS_REQUEUED and record.flow_id == flow_id


def _page(found: list[_Record], contents: list[bytes]) -> SourcePage:
    operations = [
        batch.OPERATION_DELETE
        if any(reason.reason == DELETION for reason in record.reasons)
        else batch.OPERATION_UPSERT
        for record in found
    ]
    return SourcePage(
        contents,
        [record.key for record in found],
        operations if batch.OPERATION_DELETE in operations else None,
        quarantine_ids=[record.quarantine_id for record in found],
    )


def _content(record: _Record, text: bytes) -> bytes:
    if not record.is_binary:
        return text
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text


__all__ = ["requeued_pages"]
