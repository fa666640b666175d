"""The mesh under test: the one that `isthmus up` starts, with a proxy before every service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from isthmus.client import Mesh
from isthmus.client.mesh import pages
from isthmus.client.profile import load_profile
from isthmus.local.backends.ports import HOST, PortBook
from isthmus.local.control import LauncherGone, tell
from isthmus.local.health import health_of
from isthmus.local.home import Home
from isthmus.local.names import SERVICES
from isthmus.local.options import Options
from isthmus.scheduling.v1 import plans_pb2, scheduling_pb2

__all__ = ["ChaosMesh", "Ended", "StillDown"]

_Answer = TypeVar("_Answer")
_CALL_SECONDS = 10.0
_STATUS = scheduling_pb2.Execution
_ENDED = frozenset({_STATUS.STATUS_COMPLETED, _STATUS.STATUS_FAILED, _STATUS.STATUS_CANCELLED})
_RUN = plans_pb2.PlanRun
_AT_WORK = frozenset({_RUN.STATUS_RUNNING, _RUN.STATUS_COMPENSATING})
_ASK_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)


class StillDown(Exception):
    """The mesh did not become well again, or a flow did not end, in the time that it was given."""


@dataclass(frozen=True)
class Ended:
    """How an execution or a run of a plan has ended.

    Attributes:
        status: In one word.
        reason: Why it did not complete; empty where it did.
        message: The same for people.
        kind: What it was; empty for an execution that moves records.
    """

    status: str
    reason: str = ""
    message: str = ""
    kind: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it came to a good end."""
        return self.status == "completed"


class ChaosMesh:
    """A mesh in a folder of its own.

    Args:
        folder: Everything of it.
    """

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.prepare()
        book = PortBook(self.home.run / "ports.json")
        self.ports = {name: book.port(f"mesh-{name}") for name in SERVICES}
        self._api: Mesh | None = None

    def start(self, *, postgres_url: str, nats_url: str, routes: Mapping[str, int]) -> None:
        """Start it on servers outside; peers reach services by the given ports."""
        ways = {name: f"{HOST}:{port}" for name, port in routes.items()}
        Options(postgres_url=postgres_url, nats_url=nats_url, routes=ways).save(self.home)
        self.isthmus("up")

    def stop(self) -> None:
        """Stop it."""
        if self._api is not None:
            self._api.close()
        self.isthmus("down", insist=False)

    @property
    def api(self) -> Mesh:
        """Typed access to its services, past all proxies."""
        if self._api is None:
            self._api = Mesh(load_profile(self.home.root))
        return self._api

    def apply(self, documents: str, secrets: Mapping[str, str]) -> None:
        """Apply documents."""
        file = self.home.root / "chaos.yaml"
        file.write_text(documents)
        self.isthmus("apply", "-f", str(file), secrets=secrets)

    def flow_id(self, name: str) -> str:
        """Look a flow up."""
        request = scheduling_pb2.ListFlowsRequest(name=name)
        return str(next(pages(self.api.scheduling.ListFlows, request, "flows")).flow_id)

    def plan_id(self, name: str) -> str:
        """Look a plan up."""
        request = plans_pb2.ListPlansRequest(name=name)
        return str(next(pages(self.api.plans.ListPlans, request, "plans")).plan_id)

    def run(self, flow_id: str, seconds: float) -> Ended:
        """Start a flow and wait until the execution has ended; whoever does not answer is asked again.

        Raises:
            StillDown: it did not end in time.
        """
        start = scheduling_pb2.StartExecutionRequest(flow_id=flow_id, request_id=str(uuid.uuid4()))
        return self._executed(start, seconds)

    def reconcile(self, flow_id: str, seconds: float, *, repair: bool) -> Ended:
        """Compare both sides of a flow, and wait until that has ended.

        Raises:
            StillDown: it did not end in time.
        """
        options = scheduling_pb2.ReconcileOptions(repair=repair)
        start = scheduling_pb2.StartExecutionRequest(
            flow_id=flow_id, request_id=str(uuid.uuid4()), reconcile=options
        )
        return self._executed(start, seconds, "reconciliation ")

    def run_plan(self, plan_id: str, seconds: float) -> Ended:
        """Run a plan and wait until the run has ended.

        Raises:
            StillDown: it did not end in time.
        """
        end = time.monotonic() + seconds
        start = plans_pb2.StartPlanRunRequest(plan_id=plan_id, request_id=str(uuid.uuid4()))
        run = _patient(self.api.plans.StartPlanRun, start, end).run
        asked = plans_pb2.GetPlanRunRequest(plan_run_id=run.plan_run_id)
        while run.status in _AT_WORK:
            if time.monotonic() > end:
                raise StillDown(f"{run.plan_name} has not ended after {seconds:.0f} s: {run}")
            time.sleep(0.2)
            run = _patient(self.api.plans.GetPlanRun, asked, end).run
        status = _RUN.Status.Name(run.status).removeprefix("STATUS_").lower()
        return Ended(status, run.reason, run.message, "plan ")

    def _executed(self, start: scheduling_pb2.StartExecutionRequest, seconds: float, kind: str = "") -> Ended:
        end = time.monotonic() + seconds
        execution = _patient(self.api.scheduling.StartExecution, start, end).execution
        asked = scheduling_pb2.GetExecutionRequest(execution_id=execution.execution_id)
        while execution.status not in _ENDED:
            if time.monotonic() > end:
                name = f"{execution.flow_name} ({execution.execution_id})"
                raise StillDown(f"{name} has not ended after {seconds:.0f} s: {execution}")
            time.sleep(0.2)
            execution = _patient(self.api.scheduling.GetExecution, asked, end).execution
        status = _STATUS.Status.Name(execution.status).removeprefix("STATUS_").lower()
        return Ended(status, execution.error.reason, execution.error.message, kind)

    def processes(self) -> list[dict[str, Any]]:
        """Tell what the launcher knows of its processes."""
        try:
            found: list[dict[str, Any]] = tell(self.home.socket, {"status": 1}, timeout=60.0)["processes"]
        except LauncherGone as gone:
            raise StillDown(f"the launcher does not answer: {gone}") from gone
        return found

    def pid(self, process: str) -> int:
        """Give the id of a running process, 0 when it does not run now."""
        return next((int(one["pid"] or 0) for one in self.processes() if one["name"] == process), 0)

    def ailing(self) -> list[str]:
        """Name the processes that are not well."""
        found = health_of(self.processes(), self.home)
        return [name for name, health in found.items() if health != "serving"]

    def isthmus(self, *arguments: str, insist: bool = True, secrets: Mapping[str, str] | None = None) -> None:
        """Run the command line."""
        command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(self.home.root), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "240", **(secrets or {})},
        )
        if insist and done.returncode:
            raise RuntimeError(f"isthmus {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")


def _patient(call: Callable[..., _Answer], request: Any, end: float) -> _Answer:
    while True:
        try:
            return call(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # A flow has one execution at a time, be it a plan's or a reconciliation.
            is_busy = "is at work in execution" in (error.details() or "")
            if not (is_busy or error.code() in _ASK_AGAIN) or time.monotonic() > end:
                raise StillDown(f"{type(request).__name__} is refused: {error}") from error
            time.sleep(0.3)
