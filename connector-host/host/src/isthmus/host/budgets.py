"""This host's shares of the limits of instances that other hosts call at the same time."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from isthmus.host.control import ControlPlane, call
from isthmus.kit import acting_for
from isthmus.kit.logs import logger
from isthmus.kit.tickets import MOST_AT_ONCE, Carried, carried_here, carrying_all
from isthmus.resilience import Fault
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.failures import TransientFailure
from isthmus.sdk.runtime import Guards

_log = logger(__name__)
_RENEW = 3.0
_SOON = 0.2
_PATIENCE = 120.0
_Use = tuple[scheduling.BudgetUse, str]
"""How much is used of an instance, and the ticket by which that is told."""


class _Budget:
    """The limits of an instance, as far as this host may use them; after a change of them there are two.

    Args:
        guards: Keep to them.
        places: Whether calls at a time are shared; else only the rate is.
    """

    def __init__(self, guards: Guards, *, places: bool) -> None:
        self.guards = guards
        self.shares_places = places
        self.until = 0.0
        self.used_at = 0.0
        self.ticket: Carried | None = None
        self.waiting = 0
        self.changed = asyncio.Event()

    @property
    def is_used(self) -> bool:
        """Whether a call is under way, or waits, or was made a moment ago."""
        busy = self.waiting or self.guards.bulkhead.inside or self.guards.bulkhead.waiting
        return bool(busy) or time.monotonic() - self.used_at < 2 * _RENEW

    def take(self, rate_share: float, places: int, until: float) -> None:
        """Go on with another share; with none calls wait."""
        if rate_share > 0:
            self.guards.take_share(
                rate_share, places if self.shares_places else self.guards.limits.concurrent
            )
            self.until = until
        else:
            self.until = 0.0
            self.guards.bulkhead.resize(0)
        self.changed.set()
        self.changed.clear()


class Budgets:
    """Keeps shares for as long as they are used; a host without scheduling stops when they end.

    Args:
        control: Where scheduling is.
        host_id: This host.
        patience: Seconds that a call waits for a share.
    """

    def __init__(self, control: ControlPlane, host_id: str, *, patience: float = _PATIENCE) -> None:
        self._control = control
        self._host_id = host_id
        self._patience = patience
        self._held: dict[tuple[str, str], list[_Budget]] = {}
        self._needed = asyncio.Event()

    def share(self, tenant_id: str, instance_id: str, guards: Guards, *, places: bool = True) -> None:
        """Let an instance's calls wait for a share of its limits.

        Args:
            tenant_id: Whose.
            instance_id: Which instance.
            guards: Keep to the limits.
            places: Whether calls at a time are shared; else only the rate is, once and for all.
        """
        if guards.admitted is not None:
            return
        budget = _Budget(guards, places=places)

        async def admitted() -> None:
            budget.used_at = time.monotonic()
            budget.ticket = carried_here() or budget.ticket
            if time.monotonic() >= budget.until:
                held = self._held.setdefault((tenant_id, instance_id), [])
                if budget not in held:
                    held.append(budget)
                await self._wait(budget)

        guards.admitted = admitted

    async def _wait(self, budget: _Budget) -> None:
        """Wait until there is a share.

        Raises:
            TransientFailure: `BUDGET_TAKEN`, other hosts have needed all of it for long.
        """
        budget.waiting += 1
        self._needed.set()
        try:
            async with asyncio.timeout(self._patience):
                while time.monotonic() >= budget.until:
                    await budget.changed.wait()
        except TimeoutError:
            message = "Other hosts take all that the limits of this instance allow; it is tried again later."
            raise TransientFailure("BUDGET_TAKEN", message) from None
        finally:
            budget.waiting -= 1

    async def keep(self) -> None:
        """Ask for shares and renew them, for ever."""
        while True:
            if not self._held:
                await self._needed.wait()
            self._needed.clear()
            for tenant_id in {tenant_id for tenant_id, _ in self._held}:
                await self._renew(tenant_id)
            if any(budget.waiting for held in self._held.values() for budget in held):
                await asyncio.sleep(_SOON)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEW):
                    await self._needed.wait()

    async def release(self) -> None:
        """Give every share back, because the host stops."""
        for tenant_id in {tenant_id for tenant_id, _ in self._held}:
            uses = [
                (scheduling.BudgetUse(instance_id=name, ends=True), _ticket_of(held))
                for (tenant, name), held in self._held.items()
                if tenant == tenant_id
            ]
            await self._ask(tenant_id, uses, seconds=1.0)
        self._held.clear()

    async def _renew(self, tenant_id: str) -> None:
        uses: list[_Use] = []
        for key in [key for key in self._held if key[0] == tenant_id]:
            ticket = _ticket_of(self._held[key])
            used = [budget for budget in self._held[key] if budget.is_used]
            for budget in self._held[key]:
                if budget not in used:  # before it is told, so that no call slips in between
                    budget.until = 0.0
            uses.append((_use_of(key[1], used), ticket))
            if used:
                self._held[key] = used
            else:
                del self._held[key]
        await self._ask(tenant_id, uses)

    async def _ask(self, tenant_id: str, uses: Sequence[_Use], *, seconds: float = 5.0) -> None:
        for start in range(0, len(uses), MOST_AT_ONCE):
            await self._ask_some(tenant_id, uses[start : start + MOST_AT_ONCE], seconds)

    async def _ask_some(self, tenant_id: str, uses: Sequence[_Use], seconds: float) -> None:
        asked_at = time.monotonic()
        request = scheduling.ShareBudgetRequest(host_id=self._host_id, uses=[use for use, _ in uses])
        tickets = dict.fromkeys(ticket for _, ticket in uses if ticket)
        try:
            with acting_for(tenant_id), carrying_all(tickets):
                answer = await call(self._control.scheduling.ShareBudget, request, seconds=seconds)
        except Fault as fault:
            _log.warning("shares of limits are not renewed", reason=fault.reason)
            return
        until = asked_at + answer.valid_for.ToTimedelta().total_seconds()
        for share in answer.shares:
            self._take(self._held.get((tenant_id, share.instance_id), ()), share, until)

    def _take(self, held: Sequence[_Budget], share: scheduling.BudgetShare, until: float) -> None:
        for budget in held:
            before = budget.guards.bulkhead.concurrency
            budget.take(share.rate_share / len(held), max(1, share.places // len(held)), until)
            if budget.guards.bulkhead.concurrency < before:
                self._needed.set()  # who waits for these places learns of it at once


def _ticket_of(held: Sequence[_Budget]) -> str:
    """Give the ticket of the last call, which becomes newer for as long as the work goes on."""
    carried = max(held, key=lambda budget: budget.used_at).ticket
    return carried.text if carried is not None else ""


def _use_of(instance_id: str, used: Sequence[_Budget]) -> scheduling.BudgetUse:
    return scheduling.BudgetUse(
        instance_id=instance_id,
        places=min((one.guards.limits.concurrent for one in used if one.shares_places), default=0),
        ends=not used,
        busy=sum(budget.guards.bulkhead.inside for budget in used),
    )


__all__ = ["Budgets"]
