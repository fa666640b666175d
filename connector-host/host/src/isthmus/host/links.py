"""Announces writes at the records service, and holds the records while they are written."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.control import ControlPlane, call, passes, persist
from isthmus.host.translate import OPERATION_NUMBERS
from isthmus.records.v1 import links_pb2 as links
from isthmus.resilience import Fault
from isthmus.sdk.failures import TransientFailure
from isthmus.sdk.runtime import Announced, Known, Outcome, Settled, Standing, correlation_id

T = TypeVar("T")
_MOST_ID_BYTES = 1024
_LEAST_SECONDS = 0.05
_STANDINGS = {
    links.IntentVerdict.VERDICT_FRESH: Standing.FRESH,
    links.IntentVerdict.VERDICT_LINKED: Standing.LINKED,
    links.IntentVerdict.VERDICT_UNCHANGED: Standing.UNCHANGED,
    links.IntentVerdict.VERDICT_IN_DOUBT: Standing.IN_DOUBT,
}
_RESULTS = {outcome: links.Settlement.Result.Value(f"RESULT_{outcome.name}") for outcome in Outcome}


class LinksLedger:
    """Where one `Write` stream announces.

    Args:
        control: Where the records service is.
        tenant_id: Whose flow it is.
        opening: Which flow, in which attempt.
        hold_seconds: How long records are held without a word of this process.
        patience: Seconds to wait for a records service that is away.
    """

    def __init__(
        self,
        control: ControlPlane,
        tenant_id: str,
        opening: connector.WriteOpen,
        *,
        hold_seconds: float,
        patience: float,
    ) -> None:
        self._control = control
        self._tenant_id = tenant_id
        self._opening = opening
        self._hold_seconds = hold_seconds
        self._patience = patience

    def correlation_id(self, key: str) -> str:
        """Name a record for the system, independently of everything that may be lost."""
        return correlation_id(self._tenant_id, self._opening.flow_id, key)

    async def announce(self, records: Sequence[Announced]) -> "HeldClaim":
        """Put intents; waits for another writer to finish.

        Raises:
            Fault: `FENCED`, or the records service is away for too long.
        """
        request = links.PutIntentsRequest(
            flow_id=self._opening.flow_id,
            fencing_token=self._opening.fencing_token,
            claim=uuid.uuid4().hex,
            is_requeue=self._opening.is_requeue,
            destination=f"{self._opening.binding.instance_id}/{self._opening.stream}",
            hold=_duration(self._hold_seconds),
            intents=[
                links.Intent(
                    key=one.key,
                    correlation_id=one.correlation_id,
                    operation=OPERATION_NUMBERS[one.operation],
                    content_hash=one.content_hash,
                )
                for one in records
            ],
        )
        since = time.monotonic()

        async def put() -> Any:
            nonlocal since
            since = time.monotonic()
            return await call(self._control.links.PutIntents, request)

        answer = await persist(put, seconds=self._patience + self._hold_seconds)
        known = [
            Known(_STANDINGS[one.verdict], one.external_id, one.open_for.ToTimedelta().total_seconds())
            for one in answer.verdicts
        ]
        return HeldClaim(
            self._control, request, known, until=since + self._hold_seconds, patience=self._patience
        )


class HeldClaim:
    """Records that this process may write until its time is over.

    Args:
        control: Where the records service is.
        request: What was announced.
        known: What is known of each.
        until: Monotonic time; not later than the records service believes.
        patience: Seconds to wait for a records service that is away.
    """

    def __init__(
        self,
        control: ControlPlane,
        request: links.PutIntentsRequest,
        known: Sequence[Known],
        *,
        until: float,
        patience: float,
    ) -> None:
        self._control = control
        self._request = request
        self.known = known
        self._until = until
        self._patience = patience

    def check(self) -> None:
        """Stop a writer that slept beyond its time: somebody else may write by now.

        Raises:
            TransientFailure: `INTENTS_LAPSED`.
        """
        if time.monotonic() >= self._until:
            raise _lapsed()

    async def keep(self, work: Awaitable[T]) -> T:
        """Renew the hold until the work is done; give the work up when the hold is lost.

        Raises:
            TransientFailure: `INTENTS_LAPSED`.
        """
        working = asyncio.ensure_future(work)
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise _lapsed()
        finally:
            await _ended(working)
            await _ended(renewing)

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Tell what came of the records.

        Raises:
            Fault: The records service is away for too long; the next attempt will look.
        """
        request = links.SettleIntentsRequest(
            flow_id=self._request.flow_id,
            claim=self._request.claim,
            settlements=[
                links.Settlement(
                    key=one.key, result=_RESULTS[one.outcome], external_id=_kept(one.external_id)
                )
                for one in settled
            ],
        )
        await persist(lambda: call(self._control.links.SettleIntents, request), seconds=self._patience)

    async def _renew(self) -> None:
        """Return when the hold is lost."""
        hold = self._request.hold.ToTimedelta().total_seconds()
        request = links.RenewIntentsRequest(
            flow_id=self._request.flow_id, claim=self._request.claim, hold=self._request.hold
        )
        wait = hold / 3
        while (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(min(wait, left))
            since = time.monotonic()
            try:
                seconds = max(self._until - since, _LEAST_SECONDS)
                answer = await call(self._control.links.RenewIntents, request, seconds=seconds)
            except Fault as fault:
                if not passes(fault):
                    return
                wait = hold / 10
            else:
                if not answer.held:
                    return
                self._until, wait = since + hold, hold / 3


async def _ended(task: "asyncio.Future[Any]") -> None:
    while not task.done():  # more than once, because libraries swallow cancellations
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


def _lapsed() -> TransientFailure:
    message = "The records service did not hear of this writer in time, so others may write; it starts again."
    return TransientFailure("INTENTS_LAPSED", message)


def _kept(external_id: str) -> str:
    """An id that cannot be kept is none: the record is found by its correlation id."""
    return "" if len(external_id.encode()) > _MOST_ID_BYTES or "\0" in external_id else external_id


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


__all__ = ["HeldClaim", "LinksLedger"]
