"""Runs the checks: as tests of a connector's author, or one after another for a report."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc.aio
from isthmus.sdk.sandbox import Sandbox
from isthmus.testing.conformance.subject import Subject, beside, fault_of
from isthmus.testing.conformance.verdicts import CHECKS, Check, Nonconforming, NotApplicable

__all__ = ["Verdict", "conformance", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """What came of a check.

    Attributes:
        check: Which.
        outcome: `passed`, `failed` or `skipped`.
        why: What does not hold, or why there was nothing to check; empty when passed.
    """

    check: Check
    outcome: str
    why: str = ""


def conformance(connector: Any, make: Callable[[], Sandbox]) -> Any:
    """Make the test of a connector: every check of the kit, each by itself and against a fresh sandbox.

    ```python
    test_conformance = conformance(Acme, AcmeSandbox)
    ```

    Args:
        connector: The class.
        make: Makes its sandbox.
    """
    import pytest

    @pytest.mark.parametrize("name", sorted(CHECKS))
    async def test(name: str) -> None:
        """The connector keeps its contract."""
        async with beside(connector, make()) as subject:
            found = await judged(CHECKS[name], subject)
        if found.outcome == "skipped":
            pytest.skip(found.why)
        assert found.outcome == "passed", f"{found.check.says} {found.why}"

    caller = inspect.stack()[1].frame.f_globals.get("__name__", "")
    test.__module__, test.__qualname__ = str(caller), "test_conformance"
    return test


async def verdicts(
    opened: Callable[[], AbstractAsyncContextManager[Subject]], chosen: str = ""
) -> AsyncIterator[Verdict]:
    """Make every check whose name begins like that, each on a subject of its own."""
    for name in sorted(CHECKS):
        if name.startswith(chosen):
            async with opened() as subject:
                yield await judged(CHECKS[name], subject)


async def judged(one: Check, subject: Subject) -> Verdict:
    """Make one check."""
    try:
        await one.run(subject)
    except NotApplicable as reason:
        return Verdict(one, "skipped", str(reason))
    except Nonconforming as failure:
        return Verdict(one, "failed", str(failure))
    except grpc.aio.AioRpcError as error:
        fault = fault_of(error)
        return Verdict(one, "failed", f"A call ended with {fault.reason}: {fault.message}")
    return Verdict(one, "passed")
