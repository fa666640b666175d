"""The RPCs of `QuotasService`."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from isthmus.identity.v1 import quotas_pb2 as pb
from isthmus.identity.v1 import quotas_pb2_grpc as pb_grpc
from isthmus.kit import Clock, check_etag, current_principal
from isthmus.kit.deed import tell
from isthmus.kit.validation import validating
from isthmus.services.identity.quotas import NAMES, NO_LIMIT, Allowance
from isthmus.services.identity.servicer.counting import PERIODS, Peer, counted_elsewhere, counted_of
from isthmus.services.identity.store import QuotaRows, Rows, Store
from isthmus.services.identity.tells import Tells

_SEES_ALL_TENANTS = "identity.tenants.create"
_MOST = 1 << 53


class QuotasServicer(pb_grpc.QuotasServiceServicer):
    """Keeps what tenants may have and do at most."""

    def __init__(
        self, store: Store, allowance: Allowance, *, events: Tells, clock: Clock, peer: Peer
    ) -> None:
        self._store = store
        self._peer = peer
        self._allowance = allowance
        self._events = events
        self._clock = clock

    async def GetTenantQuotas(
        self, request: pb.GetTenantQuotasRequest, context: Any
    ) -> pb.GetTenantQuotasResponse:
        """Tell a tenant's quotas."""
        tenant_id = request.tenant_id or current_principal().tenant_id
        async with self._visible() as rows:
            await rows.tenant(tenant_id)
            quotas = QuotaRows(rows.conn)
            limits, revision = await quotas.get(tenant_id)
            used = await quotas.used(tenant_id)
        return pb.GetTenantQuotasResponse(
            quotas=pb.Quotas(**limits),
            effective=pb.Quotas(**self._allowance.effective(limits)),
            used=pb.Quotas(**used),
            etag=str(revision),
        )

    async def SetTenantQuotas(
        self, request: pb.SetTenantQuotasRequest, context: Any
    ) -> pb.SetTenantQuotasResponse:
        """Replace a tenant's quotas."""
        limits = _limits(request.quotas)
        caller = current_principal()
        tenant_id, by = request.tenant_id or caller.tenant_id, caller.subject
        async with self._visible() as rows:
            await rows.tenant(tenant_id)
            quotas = QuotaRows(rows.conn)
            before, revision = await quotas.get(tenant_id, lock=True)
            check_etag(request.etag, revision)
            tell(before=before)
            revision = await quotas.save(tenant_id, limits, by, self._clock.now())
            effective = self._allowance.effective(limits)
            await self._events.quotas(rows.conn, tenant_id, effective, by)
        self._allowance.forget(tenant_id)
        return pb.SetTenantQuotasResponse(
            quotas=pb.Quotas(**limits), effective=pb.Quotas(**effective), etag=str(revision)
        )

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        """Tell how much of each quota is used."""
        tenant_id = request.tenant_id or current_principal().tenant_id
        now = self._clock.now()
        async with self._visible() as rows:
            await rows.tenant(tenant_id)
            quotas = QuotaRows(rows.conn)
            limits, _ = await quotas.get(tenant_id)
            used = await quotas.used(tenant_id)
            told = await quotas.told(tenant_id, now)
        used |= await counted_elsewhere(tenant_id, self._peer)
        effective = self._allowance.effective(limits)
        answer = pb.GetUsageResponse()
        for name in NAMES:
            one = answer.usage.add(quota=name, limit=effective.get(name), is_set=name in limits)
            reported = {quota: at for quota, at in told.items() if quota.partition(":")[0] == name}
            if name in used:
                one.used = used[name]
            elif reported:
                # Each service counts calls for itself: the one with most is nearest to the limit.
                one.used, when = max(reported.values())
                one.count_time.FromDatetime(when)
            elif name in PERIODS:
                one.used = 0
        return answer

    async def ReportUsage(self, request: pb.ReportUsageRequest, context: Any) -> pb.ReportUsageResponse:
        """Bring together what processes have counted."""
        caller, now = current_principal(), self._clock.now()
        effective = await self._allowance.of(caller.tenant_id)
        counted = counted_of(request, caller.subject, effective)
        used: dict[str, int] = {}
        if counted:
            async with self._store.of(caller.tenant_id) as rows:
                used = await QuotaRows(rows.conn).report(caller.tenant_id, counted, now)
        told = [pb.UsageCount(quota=name.partition(":")[0], count=count) for name, count in used.items()]
        return pb.ReportUsageResponse(effective=pb.Quotas(**effective), used=told)

    def _visible(self) -> AbstractAsyncContextManager[Rows]:
        """Open what the caller may see: its own tenant, or all for who runs the installation."""
        caller = current_principal()
        return self._store.everything() if caller.may(_SEES_ALL_TENANTS) else self._store.of(caller.tenant_id)


def _limits(message: pb.Quotas) -> Mapping[str, int]:
    """Read what is set, and refuse what no quota can be."""
    limits = {field.name: int(value) for field, value in message.ListFields()}
    with validating() as check:
        for name, limit in limits.items():
            least = 1 if name == "executions" and limit != NO_LIMIT else NO_LIMIT
            check.within(f"quotas.{name}", limit, least=least, most=_MOST)
    return limits


__all__ = ["QuotasServicer"]
