"""Does what subscriptions ask for, once an event."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from isthmus.kit import Clock, Database, acting_for
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.kit.principal import correlated
from isthmus.resilience import Backoff
from isthmus.resilience.faults import Fault, LimitReached, OutOfTime, RetryLater
from isthmus.services.events.domain import ActionType
from isthmus.services.events.engine.ports import FlowStarter, LogWriter, Notice
from isthmus.services.events.engine.recorder import Bell
from isthmus.services.events.store import deliveries, events
from isthmus.services.events.store.deliveries import Delivery

_log = logger(__name__)
_BATCH = 50
_LARGEST_PRUNE = 5000
_PAUSE_AFTER_OUTAGE = 1.0
_PATIENCE = timedelta(days=1)
_ENDED_KEPT = timedelta(days=7)
_BUSY = "EXECUTION_RUNNING"


def every(
    seconds: float, work: Callable[[], Awaitable[bool]], bell: Bell | None = None
) -> Callable[[], Awaitable[None]]:
    """Make a loop that does a piece of work at once while there is more, else after a pause.

    An outage of the database is waited out; anything else ends the loop and is left to the chassis,
    which reports it under the work's name and starts the loop again.

    Args:
        seconds: The longest pause.
        work: Does a bounded piece and says whether more may be waiting.
        bell: Ends a pause early.
    """
    alarm = bell or Bell()

    async def loop() -> None:
        while True:
            try:
                more = await work()
            except Exception as error:
                if not isinstance(fault_of(error), RetryLater | OutOfTime):
                    raise
                await asyncio.sleep(_PAUSE_AFTER_OUTAGE)
                continue
            if not more:
                await alarm.wait(seconds)

    loop.__qualname__ = work.__qualname__
    return loop


class Actions:
    """Carries out deliveries that are due; any number of replicas may do so.

    A delivery is taken for a while, carried out outside any transaction, and reported on. What
    nobody reported on is carried out again, with the same ids, which has no effect.

    Args:
        db: For the transactions.
        clock: The time.
        flows: Starts flows.
        log: Writes the integration log.
        claim: How long a delivery is taken for.
        busy: Seconds before a flow that is at work is tried again.
        keep: How long events are kept.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        flows: FlowStarter,
        log: LogWriter,
        *,
        claim: timedelta,
        busy: timedelta,
        keep: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._flows = flows
        self._writer = log
        self._claim = claim
        self._busy = busy
        self._keep = keep
        self._backoff = Backoff()

    async def act(self) -> bool:
        """Carry out what is due; True when there may be more."""
        now = self._clock.now()
        async with self._db.system() as conn:
            taken = await deliveries.take_deliveries(conn, now, claim=self._claim, limit=_BATCH)
        await asyncio.gather(*map(self._deliver, taken))
        return len(taken) >= _BATCH

    async def prune(self) -> bool:
        """Forget what is old enough; True when there may be more."""
        now = self._clock.now()
        async with self._db.system() as conn:
            old = await events.prune_events(conn, now - self._keep, _LARGEST_PRUNE)
            ended = await deliveries.prune_deliveries(conn, now - _ENDED_KEPT, _LARGEST_PRUNE)
        return _LARGEST_PRUNE in {old, ended}

    async def _deliver(self, delivery: Delivery) -> None:
        with acting_for(delivery.tenant_id), correlated(delivery.correlation_id):
            try:
                await self._carry_out(delivery)
            except Fault as fault:
                await self._failed(delivery, fault)
                return
        async with self._db.tenant(delivery.tenant_id) as conn:
            await deliveries.end_delivery(conn, delivery, state="done")

    async def _carry_out(self, delivery: Delivery) -> None:
        spec = delivery.subscription.spec
        if spec.action_type is ActionType.SYNC:
            await self._flows.start(
                spec.flow_id, event_id=delivery.event_id, request_id=_effect_id("start", delivery)
            )
        else:
            message = str(spec.action_config["message"])
            await self._writer.write(_notice(delivery, message, is_warning=False))

    async def _failed(self, delivery: Delivery, fault: Fault) -> None:
        now = self._clock.now()
        passes = fault.reason == _BUSY or isinstance(fault, RetryLater | LimitReached | OutOfTime)
        if passes and now - delivery.wanted_since < _PATIENCE:
            wait = self._busy if fault.reason == _BUSY else self._wait(delivery.attempts)
            async with self._db.tenant(delivery.tenant_id) as conn:
                await deliveries.repeat_delivery(conn, delivery, now + wait, fault.reason)
            return
        subscription = delivery.subscription
        _log.warning("subscription failed", subscription_id=subscription.subscription_id, reason=fault.reason)
        async with self._db.tenant(delivery.tenant_id) as conn:
            await deliveries.end_delivery(conn, delivery, state="failed", reason=fault.reason)
        await self._tell(delivery, fault)

    def _wait(self, attempts: int) -> timedelta:
        return timedelta(seconds=self._backoff.wait(attempts))

    async def _tell(self, delivery: Delivery, fault: Fault) -> None:
        """Let the owner see what did not work; not worth a repetition."""
        message = f'Subscription "{delivery.subscription.spec.name}" could not act: {fault.message}'
        try:
            with acting_for(delivery.tenant_id):
                await self._writer.write(_notice(delivery, message, is_warning=True))
        except Fault as other:
            _log.info("log entry not written", reason=other.reason)


def _notice(delivery: Delivery, message: str, *, is_warning: bool) -> Notice:
    spec = delivery.subscription.spec
    return Notice(
        log_id=_effect_id("warning" if is_warning else "notice", delivery),
        instance_id=spec.instance_id,
        time=delivery.event_time,
        message=message,
        details={
            "event_id": delivery.event_id,
            "event_type": delivery.event_type,
            "event_subject": delivery.event_subject,
            "subscription_id": delivery.subscription.subscription_id,
            "subscription": spec.name,
        },
        is_warning=is_warning,
        correlation_id=delivery.correlation_id,
    )


def _effect_id(kind: str, delivery: Delivery) -> str:
    """Name an effect, the same at every repetition and short enough to be an id."""
    parts = (kind, delivery.subscription.subscription_id, delivery.event_id)
    return "log_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


__all__ = ["Actions", "every"]
