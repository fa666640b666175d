"""Turns a connector's check into named steps."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from isthmus.sdk.failures import (
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    Failure,
    PermissionFailure,
    RateLimited,
)
from isthmus.sdk.model import CheckStep, ReadMode, StepResult, Stream
from isthmus.sdk.runtime.failing import failure_from

if TYPE_CHECKING:
    from isthmus.sdk.runtime.session import Session

STEPS = ("configuration", "reach", "authenticate", "permit", "sample")
_SAMPLED = 5
# A person waits for the answer; a system that is away for longer than that is told as it is.
_PATIENCE = 3.0
_STEP_OF: tuple[tuple[type[Failure], str], ...] = (
    (ConfigurationFailure, "configuration"),
    (AuthenticationFailure, "authenticate"),
    (PermissionFailure, "permit"),
    (DataFailure, "sample"),
)
_REMEDIES = {
    "configuration": "Mend the settings that the message names.",
    "reach": "Check the address, the network and that the system is running.",
    "authenticate": "Renew the credential and check that it belongs to this system.",
    "permit": "Grant the account the permission that the message names.",
    "sample": "Check that the address and the stream's settings fit what the system answers.",
}


async def check(session: "Session") -> AsyncIterator[CheckStep]:
    """Tries the session one step after another; after a failed step the rest is skipped."""
    started = time.monotonic()
    told: list[CheckStep] = []
    patience, session.context.patience = session.context.patience, _PATIENCE
    try:
        async with asyncio.timeout(session.context.limits.check_seconds):
            await session.connect()
            async for step in session.steps():
                told.append(step)
                yield step
            if all(step.result is not StepResult.FAILED for step in told):
                for step in await _default_steps(session, {step.step for step in told}, started):
                    yield step
    except Exception as error:
        failure = await failure_from(session.connector, session.context, error)
        for step in _after(failure, {step.step for step in told}, started):
            yield step
    finally:
        session.context.patience = patience


async def _default_steps(session: "Session", told: set[str], started: float) -> list[CheckStep]:
    """The steps that the connector did not tell about; a sample proves those before it."""
    sample = [] if "sample" in told else [await _sample(session)]
    took = timedelta(seconds=time.monotonic() - started)
    return [CheckStep(name, took=took) for name in STEPS[:-1] if name not in told] + sample


async def _sample(session: "Session") -> CheckStep:
    started = time.monotonic()
    readable = [stream for stream in await session.streams() if stream.reader is not None]
    if not readable:
        return CheckStep(
            "sample", StepResult.SKIPPED, "NOTHING_TO_READ", "The connector has no stream to read."
        )
    found = [f"{stream.stream} ({await _first_records(session, stream)})" for stream in readable[:_SAMPLED]]
    took = timedelta(seconds=time.monotonic() - started)
    return CheckStep(
        "sample", StepResult.PASSED, "", f"Read at most one record each of {', '.join(found)}.", took=took
    )


async def _first_records(session: "Session", stream: Stream) -> int:
    reading = session.reading(stream, mode=ReadMode.FULL, limit=1)
    try:
        with suppress(StopAsyncIteration):
            return len((await anext(reading)).records)
        return 0
    finally:
        await reading.aclose()


def _after(failure: Failure, told: set[str], started: float) -> list[CheckStep]:
    """The steps that a failure implies: passed before it, failed at it, skipped behind it."""
    failed = next((step for kind, step in _STEP_OF if isinstance(failure, kind)), "reach")
    if isinstance(failure, RateLimited):
        failed = "sample"
    took = timedelta(seconds=time.monotonic() - started)
    steps = [CheckStep(name) for name in STEPS[: STEPS.index(failed)] if name not in told]
    steps.append(
        CheckStep(failed, StepResult.FAILED, failure.reason, failure.message, _REMEDIES[failed], took)
    )
    behind = STEPS[STEPS.index(failed) + 1 :]
    return steps + [_skipped(name, failed) for name in behind if name not in told]


def _skipped(name: str, failed: str) -> CheckStep:
    return CheckStep(name, StepResult.SKIPPED, "SKIPPED", f"Not tried, because {failed} failed.")


__all__: list[Any] = ["STEPS", "check"]
