"""A whole mesh in a folder of its own, driven by its command line and its API."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from isthmus.client import Mesh
from isthmus.client.mesh import pages
from isthmus.client.profile import load_profile
from isthmus.local.backends.nats_users import OPERATOR, NatsUsers
from isthmus.local.control import tell
from isthmus.local.home import Home
from isthmus.local.issued import authority_file
from isthmus.local.private import read_json
from isthmus.scheduling.v1 import scheduling_pb2

__all__ = ["ENDED", "LocalMesh", "running_mesh"]

_STATUS = scheduling_pb2.Execution
ENDED = frozenset({_STATUS.STATUS_COMPLETED, _STATUS.STATUS_FAILED, _STATUS.STATUS_CANCELLED})
"""States that an execution does not leave."""
_GIVE_UP_SECONDS = 900.0


class LocalMesh:
    """A mesh that runs.

    Attributes:
        home: Its folder.
        api: Typed access to its services.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.api = Mesh(load_profile(home))

    def apply(self, documents: str, **secrets: str) -> None:
        """Applies documents; secrets that they name come from the environment."""
        file = self.home / "bench.yaml"
        file.write_text(documents)
        _isthmus(self.home, "apply", "-f", str(file), environment=secrets)

    def flow_id(self, name: str) -> str:
        """Looks a flow up by its name."""
        request = scheduling_pb2.ListFlowsRequest(name=name)
        found: scheduling_pb2.Flow = next(pages(self.api.scheduling.ListFlows, request, "flows"))
        return found.flow_id

    def start(self, flow_id: str) -> str:
        """Starts a flow; gives the execution's id."""
        request = scheduling_pb2.StartExecutionRequest(flow_id=flow_id, request_id=str(uuid.uuid4()))
        return self.api.scheduling.StartExecution(request).execution.execution_id

    def ended(self, execution_id: str, seconds: float = _GIVE_UP_SECONDS) -> scheduling_pb2.Execution:
        """Waits until an execution has ended.

        Raises:
            RuntimeError: it did not complete, or not in time.
        """
        request = scheduling_pb2.WatchExecutionRequest(execution_id=execution_id)
        execution = scheduling_pb2.Execution()
        with suppress(grpc.RpcError):
            for news in self.api.scheduling.WatchExecution(request, timeout=seconds):
                execution = news.execution
                if execution.status in ENDED:
                    break
        if execution.status not in ENDED:
            asked = scheduling_pb2.GetExecutionRequest(execution_id=execution_id)
            execution = self.api.scheduling.GetExecution(asked).execution
        if execution.status != _STATUS.STATUS_COMPLETED:
            status = _STATUS.Status.Name(execution.status)
            raise RuntimeError(
                f"{execution.flow_name} is {status} after {execution.attempts} attempts: {execution.error}"
            )
        return execution

    @property
    def nats_url(self) -> str:
        """Where events can be heard; treat it as a secret."""
        secret = NatsUsers(self.home / "nats" / "users").password(OPERATOR)
        scheme, _, place = read_json(Home(self.home).mesh_file)["nats"]["address"].partition("://")
        return f"{scheme}://{OPERATOR}:{secret}@{place}"

    @property
    def nats_check(self) -> ssl.SSLContext:
        """By which the bus is told from others."""
        return ssl.create_default_context(cafile=authority_file(Home(self.home).tls))

    def run(self, flow_id: str) -> scheduling_pb2.Execution:
        """Runs a flow to its end."""
        return self.ended(self.start(flow_id))

    def pid(self, process: str) -> int:
        """Gives the process id of a service, host or back end."""
        found = {
            item["name"]: item["pid"] for item in tell(Home(self.home).socket, {"status": 1})["processes"]
        }
        return int(found[process])


@contextmanager
def running_mesh() -> Iterator[LocalMesh]:
    """Starts a mesh and stops it when the block ends."""
    # PostgreSQL's own user has to reach the folder, so it lies where everybody may go.
    home = Path(tempfile.mkdtemp(prefix="isthmus-bench-"))
    try:
        _isthmus(home, "up")
        yield LocalMesh(home)
    finally:
        _isthmus(home, "down", insist=False)
        shutil.rmtree(home, ignore_errors=True)


def _isthmus(
    home: Path, *arguments: str, insist: bool = True, environment: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isthmus.client.cli", "--home", str(home), *arguments, "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "240", **(environment or {})},
    )
    if insist and done.returncode:
        raise RuntimeError(f"isthmus {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
