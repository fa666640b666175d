"""What hosts tell monitoring: buffered, in the background, and never in the way of records."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
from isthmus.host.backend import Bound
from isthmus.host.control import ControlPlane, call
from isthmus.host.texts import clean
from isthmus.kit import acting_for, current_correlation_id, new_id
from isthmus.kit.logs import logger
from isthmus.kit.principal import peek_principal
from isthmus.kit.tickets import MOST_AT_ONCE, Carried, carried_here, carrying_all
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.resilience import Fault, NotAllowed

_MOST_KEPT = 2000
_MOST_SENT = 500
_PAUSE = 0.5
_log = logger(__name__)
Log = monitoring.IntegrationLog


@dataclass(frozen=True, slots=True)
class _Kept:
    """A report, and by which right it is told."""

    tenant_id: str
    report: Any
    ticket: Carried | None


class Reports:
    """Keeps log lines and usage samples until monitoring has them; the oldest go first when it is away.

    Each is told by the ticket that is carried where it arises.

    Args:
        control: Where monitoring is.
    """

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._kept: deque[_Kept] = deque(maxlen=_MOST_KEPT)
        self._news = asyncio.Event()

    def log(
        self,
        tenant_id: str,
        kind: "Log.Type.ValueType",
        message: str,
        *,
        instance_id: str = "",
        execution_id: str = "",
        operation: str = "sync",
        user_id: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Keep a line for the integration's log."""
        line = Log(
            log_id=new_id("log"),
            instance_id=instance_id,
            type=kind,
            message=clean(message, 2000),
            details=msgspec.json.encode(details).decode() if details else "",
            operation=operation,
            user_id=user_id,
            execution_id=execution_id,
            correlation_id=current_correlation_id(),
        )
        line.time.GetCurrentTime()
        self._keep(tenant_id, line)

    def usage(self, tenant_id: str, sample: monitoring.UsageSample) -> None:
        """Keep what one operation used."""
        sample.time.GetCurrentTime()
        self._keep(tenant_id, sample)

    def operation(self, bound: Bound, name: str, failure: str = "") -> None:
        """Keep what became of a check or an action, asked for by the present caller."""
        kind = Log.TYPE_ERROR if failure else Log.TYPE_SUCCESS
        principal = peek_principal()
        self.log(
            bound.tenant_id,
            kind,
            failure or f"{name.capitalize()} of {bound.title} succeeded.",
            instance_id=bound.instance_id,
            operation=name.split(maxsplit=1)[0],
            user_id=principal.subject if principal else "",
        )
        sample = monitoring.UsageSample(
            sample_id=new_id("use"), instance_id=bound.instance_id, is_failure=bool(failure)
        )
        self.usage(bound.tenant_id, sample)

    def _keep(self, tenant_id: str, report: Any) -> None:
        self._kept.append(_Kept(tenant_id, report, carried_here()))
        self._news.set()

    async def run(self) -> None:
        """Send what is kept, for ever."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_PAUSE)  # lines that follow closely go along
            self._news.clear()
            while self._kept and await self.flush():
                pass

    async def flush(self) -> bool:
        """Send one load; tell whether monitoring took it."""
        if not self._kept:
            return True
        load, tickets = self._taken()
        logs = [kept.report for kept in load if isinstance(kept.report, Log)]
        samples = [kept.report for kept in load if not isinstance(kept.report, Log)]
        stub = self._control.monitoring
        try:
            with acting_for(load[0].tenant_id), carrying_all(tickets):
                if logs:
                    await call(stub.AppendLogs, monitoring.AppendLogsRequest(logs=logs), seconds=5.0)
                if samples:
                    request = monitoring.RecordUsageRequest(samples=samples)
                    await call(stub.RecordUsage, request, seconds=5.0)
        except NotAllowed as fault:
            # The work is over for longer than it may be told of, which does not get better.
            _log.warning(
                "monitoring refuses reports, which are dropped", reason=fault.reason, count=len(load)
            )
        except BaseException as error:
            room = _MOST_KEPT - len(self._kept)
            self._kept.extendleft(reversed(load[max(0, len(load) - room) :]))
            if not isinstance(error, Fault):
                raise
            _log.debug("monitoring does not take reports", reason=error.reason)
            await asyncio.sleep(_PAUSE)
            self._news.set()
            return False
        return True

    def _taken(self) -> tuple[list[_Kept], list[str]]:
        """Take from the oldest reports those of one tenant that follow one another, and a few tickets."""
        tenant_id = self._kept[0].tenant_id
        load: list[_Kept] = []
        tickets: dict[str, str] = {}
        while self._kept and self._kept[0].tenant_id == tenant_id and len(load) < _MOST_SENT:
            kept = self._kept[0]
            instance_id = kept.report.instance_id
            if instance_id not in tickets and len(tickets) == MOST_AT_ONCE:
                break
            if kept.ticket is not None and kept.ticket.text:
                tickets[instance_id] = kept.ticket.text
            load.append(self._kept.popleft())
        return load, list(dict.fromkeys(tickets.values()))


__all__ = ["Log", "Reports"]
