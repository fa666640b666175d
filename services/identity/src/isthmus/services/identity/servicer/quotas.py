"""The RPCs of `QuotasService`."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from isthmus.identity.v1 import quotas_pb2 as pb
from isthmus.identity.v1 import quotas_pb2_grpc as pb_grpc
from isthmus.kit import Clock, check_etag, current_principal
from isthmus.kit.deed import tell
from isthmus.kit.validation import validating
from isthmus.services.identity.quotas import NO_LIMIT, Allowance
from isthmus.services.identity.store import QuotaRows, Rows, Store
from isthmus.services.identity.tells import Tells

_SEES_ALL_TENANTS = "identity.tenants.create"
_MOST = 1 << 53


class QuotasServicer(pb_grpc.QuotasServiceServicer):
    """Keeps what tenants may have and do at most."""

    def __init__(self, store: Store, allowance: Allowance, *, events: Tells, clock: Clock) -> None:
        self._store = store
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
