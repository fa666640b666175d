"""The RPCs of `SupportService`."""

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from isthmus.identity.v1 import support_pb2 as pb
from isthmus.identity.v1 import support_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Page, PageRequest, current_principal, once
from isthmus.kit.validation import validating
from isthmus.services.identity.domain import DEFAULT_DURATION, SupportAccess
from isthmus.services.identity.messages import support_message
from isthmus.services.identity.store import Rows, Store, SupportAccesses
from isthmus.services.identity.support import Hospitality

_MOST_ROLES = 50


class SupportServicer(pb_grpc.SupportServiceServicer):
    """Lets guests ask, and tenants decide."""

    def __init__(self, store: Store, hospitality: Hospitality, clock: Clock, longest: timedelta) -> None:
        self._store = store
        self._hospitality = hospitality
        self._clock = clock
        self._longest = longest

    async def RequestSupportAccess(
        self, request: pb.RequestSupportAccessRequest, context: Any
    ) -> pb.RequestSupportAccessResponse:
        """Ask another tenant."""
        duration = self._checked(request)
        with validating() as check:
            check.text("tenant_name", request.tenant_name, longest=63)

        async def produce() -> pb.RequestSupportAccessResponse:
            found = await self._asked(rows, request, request.tenant_name, duration)
            return pb.RequestSupportAccessResponse(support_access=found)

        async with self._store.everything() as rows:
            return await once(
                rows.conn, "RequestSupportAccess", request, produce, pb.RequestSupportAccessResponse
            )

    async def RequestOwnAccess(
        self, request: pb.RequestOwnAccessRequest, context: Any
    ) -> pb.RequestOwnAccessResponse:
        """Ask the caller's own tenant."""
        duration = self._checked(request)

        async def produce() -> pb.RequestOwnAccessResponse:
            return pb.RequestOwnAccessResponse(support_access=await self._asked(rows, request, "", duration))

        async with self._store.everything() as rows:
            return await once(rows.conn, "RequestOwnAccess", request, produce, pb.RequestOwnAccessResponse)

    async def ListSupportAccesses(
        self, request: pb.ListSupportAccessesRequest, context: Any
    ) -> pb.ListSupportAccessesResponse:
        """List who may come and who would like to."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._store.of(current_principal().tenant_id) as rows:
            shown = _page(await SupportAccesses(rows.conn).page(page), page)
        return pb.ListSupportAccessesResponse(
            support_accesses=map(self._message, shown.items), next_page_token=shown.next_token
        )

    async def ListMySupportAccesses(
        self, request: pb.ListMySupportAccessesRequest, context: Any
    ) -> pb.ListMySupportAccessesResponse:
        """List what the caller has asked for."""
        caller = current_principal()
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._store.everything() as rows:
            found = await SupportAccesses(rows.conn).page_of(caller.subject, caller.tenant_id, page)
        shown = _page(found, page)
        return pb.ListMySupportAccessesResponse(
            support_accesses=map(self._message, shown.items), next_page_token=shown.next_token
        )

    async def ApproveSupportAccess(
        self, request: pb.ApproveSupportAccessRequest, context: Any
    ) -> pb.ApproveSupportAccessResponse:
        """Grant an access."""
        found = await self._hospitality.approve(current_principal(), request.support_access_id)
        return pb.ApproveSupportAccessResponse(support_access=self._message(found))

    async def RefuseSupportAccess(
        self, request: pb.RefuseSupportAccessRequest, context: Any
    ) -> pb.RefuseSupportAccessResponse:
        """Refuse an access."""
        with validating() as check:
            check.text("reason", request.reason, required=False, lines=True)
        found = await self._hospitality.refuse(current_principal(), request.support_access_id, request.reason)
        return pb.RefuseSupportAccessResponse(support_access=self._message(found))

    async def RevokeSupportAccess(
        self, request: pb.RevokeSupportAccessRequest, context: Any
    ) -> pb.RevokeSupportAccessResponse:
        """End an access."""
        found = await self._hospitality.revoke(current_principal(), request.support_access_id)
        return pb.RevokeSupportAccessResponse(support_access=self._message(found))

    async def OpenSupportAccess(
        self, request: pb.OpenSupportAccessRequest, context: Any
    ) -> pb.OpenSupportAccessResponse:
        """Give a token for the tenant."""
        found, token, seconds = await self._hospitality.open(current_principal(), request.support_access_id)
        return pb.OpenSupportAccessResponse(
            access_token=token, expires_in=seconds, support_access=self._message(found)
        )

    async def _asked(
        self,
        rows: Rows,
        request: pb.RequestSupportAccessRequest | pb.RequestOwnAccessRequest,
        tenant_name: str,
        duration: timedelta,
    ) -> pb.SupportAccess:
        found = await self._hospitality.request(
            rows,
            current_principal(),
            tenant_name=tenant_name,
            reason=request.reason,
            duration=duration,
            roles=tuple(dict.fromkeys(request.roles)),
        )
        return self._message(found)

    def _checked(self, request: pb.RequestSupportAccessRequest | pb.RequestOwnAccessRequest) -> timedelta:
        """Refuse what nobody could decide about; return how long it is to last."""
        seconds = _seconds(request.duration) if request.HasField("duration") else _default(self._longest)
        with validating() as check:
            check.text("reason", request.reason, lines=True)
            check.count("roles", request.roles, most=_MOST_ROLES)
            if not 1 <= seconds <= self._longest.total_seconds():
                hours = f"{self._longest.total_seconds() / 3600:g}"
                check.add("duration", "OUT_OF_RANGE", f"Ask for at least a second and at most {hours} hours.")
        return timedelta(seconds=seconds)

    def _message(self, found: SupportAccess) -> pb.SupportAccess:
        return support_message(found, found.state_at(self._clock.now()))


def _page(found: list[SupportAccess], page: PageRequest) -> Page[SupportAccess]:
    return Page.of(found, page, lambda row: {"id": row.support_access_id})


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _default(longest: timedelta) -> float:
    return min(DEFAULT_DURATION, longest).total_seconds()


__all__ = ["SupportServicer"]
