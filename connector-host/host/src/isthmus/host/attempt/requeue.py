"""Reads records out of quarantine instead of the source."""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence

from isthmus.host.attempt.quarantine import DELETION
from isthmus.host.backend import SourcePage
from isthmus.host.control import ControlPlane, call, persist
from isthmus.records.v1 import records_pb2 as records
from isthmus.resilience import Missing
from isthmus.type.v1 import batch_pb2 as batch

_Record = records.QuarantinedRecord
_PAGE = 500
_FEW = 20


async def requeued_pages(
    control: ControlPlane, flow_id: str, quarantine_ids: Sequence[str], *, patience: float
) -> AsyncIterator[SourcePage]:
    """Give the records that wait to be delivered again; those that have been decided otherwise are left out.

    Args:
        control: Where the records service is.
        flow_id: Whose records.
        quarantine_ids: Which ones; empty means all that are requeued in the flow.
        patience: Seconds to wait for a records service that is away.
    """
    if quarantine_ids and len(quarantine_ids) <= _FEW:
        found = [await _one(control, quarantine_id, patience) for quarantine_id in quarantine_ids]
        yield _page([record for record in found if record is not None and _is_requeued(record, flow_id)])
        return
    wanted = frozenset(quarantine_ids)
    async for listed in _listed(control, flow_id, patience):
        yield _page([record for record in listed if not wanted or record.quarantine_id in wanted])


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


def _page(found: list[_Record]) -> SourcePage:
    operations = [
        batch.OPERATION_DELETE
        if any(reason.reason == DELETION for reason in record.reasons)
        else batch.OPERATION_UPSERT
        for record in found
    ]
    return SourcePage(
        [_content(record) for record in found],
        [record.key for record in found],
        operations if batch.OPERATION_DELETE in operations else None,
        quarantine_ids=[record.quarantine_id for record in found],
    )


def _content(record: _Record) -> bytes:
    if not record.is_binary:
        return record.record.encode()
    try:
        return base64.b64decode(record.record, validate=True)
    except binascii.Error:
        return record.record.encode()


__all__ = ["requeued_pages"]
