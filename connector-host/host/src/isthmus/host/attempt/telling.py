"""What the integration's log and its usage are told of an attempt."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.tools import Ending
from isthmus.host.reports import Log, Reports
from isthmus.kit.tickets import Carried, carrying
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_Finish = scheduling.FinishAttemptRequest
_Error = scheduling.ExecutionError
_QUIET_SECONDS = 1.0
_MOST_WARNINGS = 10


class Story:
    """Tells how an attempt goes; of one that soon finds nothing there is nothing to tell.

    That such an execution took place, when, and how it ended is on record in scheduling.

    Args:
        reports: Takes what is told.
        tenant_id: Whose execution it is.
        grant: The lease.
        ticket: By which right the source is told of.
        is_wordy: Tell also what nobody but a searcher for defects wants to read.
    """

    def __init__(
        self,
        reports: Reports,
        tenant_id: str,
        grant: scheduling.AcquireLeaseResponse,
        *,
        is_wordy: bool = False,
        ticket: Carried | None = None,
    ) -> None:
        self._reports = reports
        self._tenant_id = tenant_id
        self._grant = grant
        self._is_wordy = is_wordy
        self._ticket = ticket
        self._has_begun = False
        self._alarm: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take notice that the attempt begins; the log hears of it with the next line, or after a second."""
        if self._is_wordy:
            self._tell_beginning()
        else:
            self._alarm = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._tell_beginning)

    def end(self) -> None:
        """Take notice that the attempt has ended."""
        if self._alarm is not None:
            self._alarm.cancel()

    def say(self, kind: "Log.Type.ValueType", message: str) -> None:
        """Write a line into the integration's log."""
        self._tell_beginning()
        with carrying(self._ticket):
            self._reports.log(
                self._tenant_id,
                kind,
                message,
                instance_id=self._grant.flow.source.instance_id,
                execution_id=self._grant.execution.execution_id,
                user_id=self._grant.execution.initiated_by,
            )

    def notice(self, notice: connector.Notice) -> None:
        """Write down what the source found worth telling."""
        kind = Log.TYPE_WARNING if notice.level == connector.Notice.LEVEL_WARNING else Log.TYPE_INFO
        self.say(kind, f"{notice.reason}: {notice.message}")

    def warn(self, warnings: Iterable[str]) -> None:
        """Write the first of some warnings into the integration's log."""
        for told in islice(warnings, _MOST_WARNINGS):
            self.say(Log.TYPE_WARNING, told)

    def report(self, ending: Ending) -> None:
        """Tell how the attempt ended, and what it used."""
        counts, error, flow = ending.counts, ending.error, self._grant.flow
        is_dry = self._grant.execution.is_dry_run
        arrived = counts.created + counts.updated + counts.unchanged + counts.deleted
        name = f"Dry run of {flow.name}" if is_dry else flow.name
        told = {
            _Finish.OUTCOME_COMPLETED: (
                Log.TYPE_SUCCESS,
                f"{name}: {counts.read} records read, {arrived} arrived, "
                f"{counts.filtered} left out, {counts.quarantined} in quarantine.",
            ),
            _Finish.OUTCOME_CANCELLED: (Log.TYPE_WARNING, f"{name} was stopped on request."),
            _Finish.OUTCOME_FAILED: (Log.TYPE_ERROR, error.message if error else f"{flow.name} failed."),
        }
        kind, message = told[_Finish.Outcome.ValueType(ending.outcome)]
        if error is not None and error.kind == _Error.KIND_STOPPED:
            kind = Log.TYPE_INFO
        if self._has_begun or self._has_news(ending):
            self.say(kind, message)
        if is_dry:
            return  # it says nothing about how well the instance does
        sample = monitoring.UsageSample(
            sample_id=f"{self._grant.execution.execution_id}.{self._grant.fencing_token}",
            instance_id=flow.source.instance_id,
            is_failure=kind == Log.TYPE_ERROR,
            is_unavailable=error is not None and error.kind == _Error.KIND_TRANSIENT,
            api_calls=counts.api_calls,
            bytes=counts.bytes_sent,
            records=counts.read,
            throttled=counts.throttled,
        )
        with carrying(self._ticket):
            self._reports.usage(self._tenant_id, sample)

    def _tell_beginning(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.say(Log.TYPE_INFO, f"Attempt {self._grant.attempt} at {self._grant.flow.name} began.")

    def _has_news(self, ending: Ending) -> bool:
        """Tell whether an attempt did anything but find that there is nothing to do."""
        counts, execution = ending.counts, self._grant.execution
        moved = counts.read or counts.created or counts.updated or counts.deleted or counts.quarantined
        is_plain = not execution.is_dry_run and execution.trigger != execution.TRIGGER_REQUEUE
        is_quiet = ending.outcome == _Finish.OUTCOME_COMPLETED and not moved and not ending.note
        return not is_quiet or not is_plain


__all__ = ["Story"]
