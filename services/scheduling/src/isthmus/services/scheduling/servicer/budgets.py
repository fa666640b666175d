"""The RPC by which hosts share the limits of instances."""

from datetime import timedelta

from isthmus.kit import current_principal
from isthmus.kit.host_rights import require_told
from isthmus.kit.validation import validating
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain.budgets import held_places, share
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.store import budgets

VALID = timedelta(seconds=15)
_MOST_USES = 1000
_MOST_PLACES = 100_000


class BudgetRpcs(Rpcs):
    """Translates the RPC of budgets."""

    async def ShareBudget(self, request: pb.ShareBudgetRequest, _: Context) -> pb.ShareBudgetResponse:
        """Share the limits of instances among hosts."""
        require_told(use.instance_id for use in request.uses)
        with validating() as check:
            check.text("host_id", request.host_id, longest=200)
            check.count("uses", request.uses, most=_MOST_USES)
            for index, use in enumerate(request.uses):
                check.text(f"uses[{index}].instance_id", use.instance_id, longest=64)
                check.within(f"uses[{index}].places", use.places, least=0, most=_MOST_PLACES)
                check.within(f"uses[{index}].busy", use.busy, least=0, most=_MOST_PLACES)
        answer = pb.ShareBudgetResponse()
        answer.valid_for.FromTimedelta(VALID)
        # In one order, so that two hosts never wait for one another.
        for use in sorted(request.uses, key=lambda use: use.instance_id):
            answer.shares.append(await self._shared(request.host_id, use))
        return answer

    async def _shared(self, host_id: str, use: pb.BudgetUse) -> pb.BudgetShare:
        tenant_id, now = current_principal().tenant_id, self._desk.clock.now()
        shown = pb.BudgetShare(instance_id=use.instance_id)
        async with self._desk.db.tenant(tenant_id) as conn:
            if use.ends:
                await budgets.end_share(conn, tenant_id, use.instance_id, host_id)
                return shown
            held = await budgets.held(conn, tenant_id, use.instance_id, host_id, now)
            given = share(use.places, held)
            await budgets.give_share(
                conn,
                tenant_id,
                use.instance_id,
                host_id,
                share=given,
                places=held_places(given, held, use.busy),
                now=now,
                expires=now + VALID,
            )
        shown.rate_share, shown.places, shown.hosts = given.rate_share, given.places, given.hosts
        return shown


__all__ = ["BudgetRpcs"]
