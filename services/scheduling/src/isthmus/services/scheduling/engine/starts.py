"""Starts of flows that callers ask for at the same time, many in one transaction, each with its own answer.

Here goes what is as it mostly is: flows and instances are as this process has seen them last. The statement
looks whether they are so still; whatever is otherwise is left to those who do one at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from isthmus.kit import Database, current_principal
from isthmus.kit.auditing import record_together
from isthmus.kit.deed import Deed
from isthmus.kit.gathering import Gathered
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Fault, Missing
from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine.causes import Cause
from isthmus.services.scheduling.engine.executions import Executions
from isthmus.services.scheduling.engine.ports import InstanceFacts, Instances, Mappings, Origin
from isthmus.services.scheduling.engine.refusals import OtherInstances, is_in_doubt, refuse_start
from isthmus.services.scheduling.engine.versions import versions_of
from isthmus.services.scheduling.store import several
from isthmus.services.scheduling.store.several import Start

_log = logger(__name__)
_RPC = "StartExecution"
_PACE_SECONDS = 0.04
_Facts = Mapping[str, InstanceFacts | Missing]


class Answer(Protocol):
    """An answer as the contract has it."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Return it as it is kept for whoever repeats the request."""


A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Wish(Generic[A]):
    """A caller's wish to have a flow started.

    Attributes:
        flow_id: Which flow.
        cause: Why.
        request_id: The caller's id of the request; empty for none.
        fingerprint: What the request is told apart by from another one with that id.
        correlation_id: What ties together all that belongs to the request.
        traceparent: The caller's trace.
        answer: Makes the answer.
        alone: Starts the flow with all care, or says why not.
        deed: What the audit trail keeps of it; None for nothing.
    """

    flow_id: str
    cause: Cause
    request_id: str
    fingerprint: bytes
    correlation_id: str
    traceparent: str
    answer: Callable[[Execution], A]
    alone: Callable[[], Awaitable[A]]
    deed: Deed | None = None


@dataclass(frozen=True, slots=True)
class _Ready(Generic[A]):
    """A start that is about to be stored."""

    wish: Wish[A]
    start: Start
    answer: A
    facts: _Facts


class Starts(Generic[A]):
    """Starts flows because callers ask for it.

    Args:
        db: For the transactions.
        work: Makes executions, and knows flows and instances.
        instances: Knows the acting tenant's instances.
        mappings: Knows the versions of its mappings.
    """

    def __init__(self, db: Database, work: Executions, instances: Instances, mappings: Mappings) -> None:
        self._db = db
        self._mappings = mappings
        self._executions = work
        self._instances = instances
        self._gathered: Gathered[str, Wish[A], A] = Gathered(
            self._together, lambda _, wish: wish.alone(), pace=_PACE_SECONDS, concerns_all=is_in_doubt
        )

    async def __call__(self, wish: Wish[A]) -> A:
        """Start a flow and give the answer.

        Raises:
            Fault: What `Executions.start_on_request` says.
        """
        return await self._gathered(current_principal().tenant_id, wish)

    async def _together(self, tenant_id: str, wishes: Sequence[Wish[A]]) -> Sequence[A | None]:
        facts = await self._facts(tenant_id, wishes)
        ready: dict[str, _Ready[A]] = {}
        request_ids: set[str] = set()
        for wish in wishes:
            if wish.flow_id in ready or wish.request_id in request_ids:
                continue  # the first one goes first
            if (one := self._ready(tenant_id, wish, facts)) is not None:
                ready[wish.flow_id] = one
                request_ids |= {wish.request_id} - {""}
        if not ready:
            return [None] * len(wishes)
        held_back = [one.start.execution for one in ready.values() if one.start.is_held_back]
        asking = asyncio.create_task(self._versions(held_back))
        started = await self._store(tenant_id, list(ready.values()))
        answers: dict[int, A] = {}
        for one in ready.values():
            execution = one.start.execution
            if execution.execution_id in started:
                origin = Origin(one.start.correlation_id, one.start.traceparent)
                self._executions.begun.note(
                    tenant_id, execution, one.facts, origin, is_held_back=one.start.is_held_back
                )
                answers[id(one.wish)] = one.answer
        asking.add_done_callback(lambda told: self._executions.begun.learn(tenant_id, told.result()))
        return [answers.get(id(wish)) for wish in wishes]

    async def _versions(self, executions: Sequence[Execution]) -> dict[str, int]:
        """Ask for versions of mappings, so that a host that comes soon need not wait for that.

        Nobody waits for the answer, and where there is none whoever gives the lease asks again.
        """
        try:
            return await versions_of(self._mappings, executions)
        except Fault as fault:
            _log.info("versions of mappings are not known yet", reason=fault.reason)
            return {}

    async def _store(self, tenant_id: str, ready: Sequence[_Ready[A]]) -> Collection[str]:
        async with self._db.tenant(tenant_id) as conn:
            started = await several.start_executions(conn, tenant_id, _RPC, [one.start for one in ready])
            going = [one for one in ready if one.start.execution.execution_id in started]
            if any(one.start.is_held_back for one in going):
                self._executions.send_later(conn)
            if not all(one.start.is_held_back for one in going):
                self._executions.send_soon(conn)
            if going:
                await record_together(conn, tenant_id, [one.wish.deed for one in going])
        return started

    def _ready(self, tenant_id: str, wish: Wish[A], known: _Facts) -> _Ready[A] | None:
        """Make the execution of a wish; None where something is to be said against it."""
        flow = self._executions.known.get((tenant_id, wish.flow_id))
        if flow is None or not known.keys() >= set(flow.spec.instance_ids):
            return None
        facts = {name: known[name] for name in flow.spec.instance_ids}
        try:
            refuse_start(flow, wish.cause, facts)
        except (Fault, OtherInstances):
            return None
        if not all(self._executions.remembers(tenant_id, one) for one in facts.values()):
            return None
        execution = self._executions.made(flow, wish.cause)
        answer = wish.answer(execution)
        if wish.deed is not None:
            wish.deed.targets.append(execution.execution_id)
        start = Start(
            execution,
            flow.revision,
            send_time=self._send_time(tenant_id, execution),
            has_own_form=execution.flow is not flow.spec,
            correlation_id=wish.correlation_id or execution.execution_id,
            traceparent=wish.traceparent,
            request_id=wish.request_id,
            fingerprint=wish.fingerprint,
            answer=answer.SerializeToString() if wish.request_id else b"",
        )
        return _Ready(wish, start, answer, facts)

    def _send_time(self, tenant_id: str, execution: Execution) -> datetime:
        """When a job has to be sent for an execution; a busy host with room will have come for it before."""
        begun = self._executions.begun
        is_held_back = begun.is_awaited(tenant_id, execution.connector_id)
        return execution.create_time + is_held_back * timedelta(seconds=begun.held_back)

    async def _facts(self, tenant_id: str, wishes: Sequence[Wish[A]]) -> _Facts:
        """Ask for the instances of the flows, each once, now that all of the callers are here."""
        flows = (self._executions.known.get((tenant_id, wish.flow_id)) for wish in wishes)
        names = {name: None for flow in flows if flow is not None for name in flow.spec.instance_ids}
        found: dict[str, InstanceFacts | Missing] = {}

        async def ask(name: str) -> None:
            try:
                found[name] = await self._instances.facts(name)
            except Missing as fault:
                found[name] = fault

        await asyncio.gather(*map(ask, names))
        return found


__all__ = ["Answer", "Starts", "Wish"]
