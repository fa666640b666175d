"""What hosts tell monitoring: buffered, in the background, and never in the way of records."""

import asyncio
from collections import deque
from typing import Any

import msgspec
from isthmus.host.backend import Bound
from isthmus.host.control import ControlPlane, call
from isthmus.host.texts import clean
from isthmus.kit import acting_for, current_correlation_id, new_id
from isthmus.kit.logs import logger
from isthmus.kit.principal import peek_principal
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.resilience import Fault

_MOST_KEPT = 2000
_MOST_SENT = 500
_PAUSE = 0.5
_log = logger(__name__)
Log = monitoring.IntegrationLog


class Reports:
    """Keeps log lines and usage samples until monitoring has them; the oldest go first when it is away.

    Args:
        control: Where monitoring is.
    """

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._kept: deque[tuple[str, Any]] = deque(maxlen=_MOST_KEPT)
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
        self._kept.append((tenant_id, report))
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
        tenant_id, load = self._taken()
        logs = [report for report in load if isinstance(report, Log)]
        samples = [report for report in load if not isinstance(report, Log)]
        stub = self._control.monitoring
        try:
            with acting_for(tenant_id):
                if logs:
                    await call(stub.AppendLogs, monitoring.AppendLogsRequest(logs=logs), seconds=5.0)
                if samples:
                    request = monitoring.RecordUsageRequest(samples=samples)
                    await call(stub.RecordUsage, request, seconds=5.0)
        except BaseException as error:
            room = _MOST_KEPT - len(self._kept)
            self._kept.extendleft(
                (tenant_id, report) for report in reversed(load[max(0, len(load) - room) :])
            )
            if not isinstance(error, Fault):
                raise
            _log.debug("monitoring does not take reports", reason=error.reason)
            await asyncio.sleep(_PAUSE)
            self._news.set()
            return False
        return True

    def _taken(self) -> tuple[str, list[Any]]:
        """Take from the oldest reports those of one tenant that follow one another."""
        tenant_id = self._kept[0][0]
        load: list[Any] = []
        while self._kept and self._kept[0][0] == tenant_id and len(load) < _MOST_SENT:
            load.append(self._kept.popleft()[1])
        return tenant_id, load


__all__ = ["Log", "Reports"]
