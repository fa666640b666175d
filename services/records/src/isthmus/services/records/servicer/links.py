"""Speaks `LinksService`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from google.protobuf.duration_pb2 import Duration
from isthmus.kit import PageRequest, current_principal
from isthmus.kit.host_rights import require_flow
from isthmus.kit.times import stamp
from isthmus.records.v1 import links_pb2 as pb
from isthmus.records.v1 import links_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest
from isthmus.services.records.domain.keys import MAX_KEY_BYTES
from isthmus.services.records.domain.links import Decision, Intent, Link, Result, Settlement
from isthmus.services.records.store import LinkStore, OrphanStore

_MOST_RECORDS = 1000
_MOST_ID_BYTES = 1024
_MOST_NAME_BYTES = 255
_MOST_HASH_BYTES = 64
_HOLD = timedelta(seconds=30)
_LONGEST_HOLD = timedelta(minutes=5)


class LinksServicer(pb_grpc.LinksServiceServicer):
    """Ties records to their ids in destinations.

    Args:
        links: Knows them.
        orphans: Knows whose they are.
    """

    def __init__(self, links: LinkStore, orphans: OrphanStore) -> None:
        self._links = links
        self._orphans = orphans

    async def PutIntents(self, request: pb.PutIntentsRequest, context: object) -> pb.PutIntentsResponse:
        """Announce writes."""
        require_flow(request.flow_id)
        _check_names(flow_id=request.flow_id, claim=request.claim)
        _check_id("destination", request.destination, _MOST_NAME_BYTES)
        _check_batch([intent.key for intent in request.intents])
        decisions = await self._links.put(
            current_principal().tenant_id,
            request.flow_id,
            [_intent(index, intent) for index, intent in enumerate(request.intents)],
            claim=request.claim,
            fencing_token=request.fencing_token,
            hold=_hold(request.hold),
            is_requeue=request.is_requeue,
            destination=request.destination,
        )
        return pb.PutIntentsResponse(verdicts=[_verdict(decision) for decision in decisions])

    async def RenewIntents(self, request: pb.RenewIntentsRequest, context: object) -> pb.RenewIntentsResponse:
        """Keep open intents."""
        require_flow(request.flow_id)
        _check_names(flow_id=request.flow_id, claim=request.claim)
        tenant, hold = current_principal().tenant_id, _hold(request.hold)
        held = await self._links.renew(tenant, request.flow_id, request.claim, hold)
        return pb.RenewIntentsResponse(held=held)

    async def SettleIntents(
        self, request: pb.SettleIntentsRequest, context: object
    ) -> pb.SettleIntentsResponse:
        """Take notice of what came of writes."""
        require_flow(request.flow_id)
        _check_names(flow_id=request.flow_id, claim=request.claim)
        _check_batch([settlement.key for settlement in request.settlements])
        settlements = [_settlement(index, one) for index, one in enumerate(request.settlements)]
        tenant = current_principal().tenant_id
        settled = await self._links.settle(tenant, request.flow_id, request.claim, settlements)
        return pb.SettleIntentsResponse(settled=settled)

    async def ListLinks(self, request: pb.ListLinksRequest, context: object) -> pb.ListLinksResponse:
        """List the links of a flow."""
        _check_names(flow_id=request.flow_id)
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("key",))
        page = await self._links.list(
            current_principal().tenant_id,
            request.flow_id,
            [state for state in request.states if 0 <= state < 1 << 15],
            asked,
            in_doubt=request.only_in_doubt,
        )
        shown = [_message(request.flow_id, link) for link in page.items]
        return pb.ListLinksResponse(links=shown, next_page_token=page.next_token)

    async def ListLinkFlows(
        self, request: pb.ListLinkFlowsRequest, context: object
    ) -> pb.ListLinkFlowsResponse:
        """List whose links there are."""
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("flow",))
        tenant = current_principal().tenant_id
        page = await self._orphans.list(tenant, asked, orphaned=request.only_orphaned)
        shown = [
            pb.LinkFlow(
                flow_id=one.flow_id,
                flow_name=one.flow_name,
                links=one.links,
                in_doubt=one.in_doubt,
                delete_time=stamp(one.delete_time),
            )
            for one in page.items
        ]
        return pb.ListLinkFlowsResponse(flows=shown, next_page_token=page.next_token)

    async def GetLink(self, request: pb.GetLinkRequest, context: object) -> pb.GetLinkResponse:
        """Read one link."""
        _check_names(flow_id=request.flow_id)
        _check_key("key", request.key)
        link = await self._links.get(current_principal().tenant_id, request.flow_id, request.key)
        return pb.GetLinkResponse(link=_message(request.flow_id, link))

    async def AdoptLink(self, request: pb.AdoptLinkRequest, context: object) -> pb.AdoptLinkResponse:
        """Take notice of what a person has found."""
        _check_names(flow_id=request.flow_id)
        _check_key("key", request.key)
        _check_id("external_id", request.external_id, _MOST_ID_BYTES)
        if not request.external_id:
            raise _invalid("external_id", "Name the destination's own id of the record.")
        tenant = current_principal().tenant_id
        link = await self._links.adopt(tenant, request.flow_id, request.key, request.external_id)
        return pb.AdoptLinkResponse(link=_message(request.flow_id, link))

    async def DeleteLinks(self, request: pb.DeleteLinksRequest, context: object) -> pb.DeleteLinksResponse:
        """Forget links."""
        _check_names(flow_id=request.flow_id)
        if bool(request.keys) == request.all:
            raise FixRequest("SELECTION_EMPTY", "Name keys, or say that all are meant.", path="keys")
        for index, key in enumerate(request.keys):
            _check_key(f"keys[{index}]", key)
        if len(request.keys) > _MOST_RECORDS:
            raise _invalid("keys", f"Name at most {_MOST_RECORDS} keys at once.")
        keys = None if request.all else list(request.keys)
        deleted = await self._links.forget(current_principal().tenant_id, request.flow_id, keys)
        return pb.DeleteLinksResponse(deleted=deleted)


def _check_names(**names: str) -> None:
    for path, name in names.items():
        if not 0 < len(name.encode()) <= _MOST_NAME_BYTES or "\0" in name:
            raise _invalid(path, f"Set `{path}`, in at most {_MOST_NAME_BYTES} bytes.")


def _check_batch(keys: Sequence[str]) -> None:
    if len(keys) > _MOST_RECORDS:
        message = f"Send at most {_MOST_RECORDS} records at once, not {len(keys)}."
        raise FixRequest("BATCH_INVALID", message)
    if len(set(keys)) != len(keys):
        raise FixRequest("BATCH_INVALID", "A key comes twice; send each record in a call of its own.")


def _check_key(path: str, key: str) -> None:
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES or "\0" in key:
        raise _invalid(path, f"A key has 1 to {MAX_KEY_BYTES} bytes and no NUL character.")


def _check_id(path: str, text: str, most: int) -> None:
    if len(text.encode()) > most or "\0" in text:
        raise _invalid(path, f"`{path}` may have {most} bytes and no NUL character.")


def _intent(index: int, message: pb.Intent) -> Intent:
    path = f"intents[{index}]"
    _check_key(f"{path}.key", message.key)
    _check_id(f"{path}.correlation_id", message.correlation_id, _MOST_NAME_BYTES)
    if len(message.content_hash) > _MOST_HASH_BYTES:
        raise _invalid(f"{path}.content_hash", f"A hash has at most {_MOST_HASH_BYTES} bytes.")
    if not 0 <= message.operation <= 3:
        raise _invalid(f"{path}.operation", "Choose an operation that this version knows.")
    return Intent(message.key, message.correlation_id, message.operation, message.content_hash)


def _settlement(index: int, message: pb.Settlement) -> Settlement:
    path = f"settlements[{index}]"
    _check_key(f"{path}.key", message.key)
    _check_id(f"{path}.external_id", message.external_id, _MOST_ID_BYTES)
    if message.result not in {int(result) for result in Result}:
        raise _invalid(f"{path}.result", "Say what came of the write.")
    return Settlement(message.key, Result(message.result), message.external_id)


def _hold(asked: Duration) -> timedelta:
    # Compared as numbers first: a duration may be longer than Python can count.
    if not asked.seconds and not asked.nanos:
        return _HOLD
    if not 0 <= asked.seconds <= _LONGEST_HOLD.total_seconds() or asked.nanos < 0:
        raise _invalid("hold", "Hold records for at most 5 minutes.")
    return min(timedelta(seconds=asked.seconds, microseconds=asked.nanos // 1000), _LONGEST_HOLD)


def _verdict(decision: Decision) -> pb.IntentVerdict:
    verdict = pb.IntentVerdict(
        verdict=cast("pb.IntentVerdict.Verdict.ValueType", int(decision.verdict)),
        external_id=decision.external_id,
    )
    if decision.open_for:
        verdict.open_for.FromTimedelta(decision.open_for)
    return verdict


def _message(flow_id: str, link: Link) -> pb.Link:
    return pb.Link(
        flow_id=flow_id,
        key=link.key,
        external_id=link.external_id,
        content_hash=link.content_hash.hex(),
        correlation_id=link.correlation_id,
        state=cast("pb.Link.State.ValueType", int(link.state)),
        is_in_doubt=link.is_in_doubt,
        fencing_token=link.fencing_token,
        create_time=stamp(link.create_time),
        update_time=stamp(link.update_time),
        destination=link.destination,
    )


def _invalid(path: str, message: str) -> FixRequest:
    return FixRequest("FIELD_INVALID", message, path=path)


__all__ = ["LinksServicer"]
