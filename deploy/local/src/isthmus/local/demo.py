"""The demonstration: compliance evidence out of the mesh's own back ends."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from isthmus.client import Mesh
from isthmus.client.cli.progress import ENDED
from isthmus.client.mesh import pages
from isthmus.client.problem import Problem, problem_from
from isthmus.records.v1 import records_pb2
from isthmus.scheduling.v1 import scheduling_pb2

__all__ = ["Check", "Run", "checks", "lend_audit_log", "run_all", "variables"]

_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 120.0
_ALIVE = (scheduling_pb2.Execution.STATUS_PENDING, scheduling_pb2.Execution.STATUS_RUNNING)


@dataclass(frozen=True)
class Check:
    """One hardening check and what came of it."""

    policy: str
    requirement: str
    status: str
    evidence: str


@dataclass(frozen=True)
class Run:
    """One execution of the demonstration."""

    flow: str
    execution: scheduling_pb2.Execution

    @property
    def mapped(self) -> int:
        """Records that came out of the mapping."""
        counts = self.execution.counts
        return counts.read - counts.filtered - counts.quarantined

    @property
    def written(self) -> int:
        """Records that are new or changed at the destination."""
        counts = self.execution.counts
        return counts.created + counts.updated + counts.deleted


def variables(mesh_file: Path) -> dict[str, str]:
    """Gives the variables that the demonstration's documents ask for.

    Args:
        mesh_file: What `isthmus up` wrote about its back ends.

    Raises:
        Problem: the mesh runs on servers of somebody else, which nobody allowed us to audit.
    """
    known = json.loads(mesh_file.read_text())
    lacking = [name for name in ("postgres", "nats", "openbao") if name not in known]
    if lacking:
        raise Problem(
            "DEMO_NEEDS_EMBEDDED_BACK_ENDS",
            f"The demonstration audits the mesh's own {', '.join(lacking)}: "
            "start a mesh without addresses of other servers, in a folder of its own.",
        )
    postgres = known["postgres"]
    return {
        "ISTHMUS_DEMO_POSTGRES_HOST": postgres["host"],
        "ISTHMUS_DEMO_POSTGRES_PORT": str(postgres["port"]),
        "ISTHMUS_DEMO_POSTGRES_DATABASE": postgres["database"],
        "ISTHMUS_DEMO_POSTGRES_USER": postgres["auditor"],
        "ISTHMUS_DEMO_POSTGRES_PASSWORD": Path(postgres["auditor_password_file"]).read_text().strip(),
        "ISTHMUS_DEMO_NATS_URL": known["nats"]["monitor_url"],
        "ISTHMUS_DEMO_OPENBAO_URL": known["openbao"]["address"],
        "ISTHMUS_DEMO_OPENBAO_AUTHORITIES": Path(known["openbao"]["ca_file"]).read_text(),
    }


def lend_audit_log(mesh_file: Path, folder: Path) -> None:
    """Puts the vault's audit log where files of the tenant are read from.

    A hard link gives this one file away and not the folder it stands in, which
    holds the vault's keys.

    Args:
        mesh_file: What `isthmus up` wrote about its back ends.
        folder: The tenant's folder of files.
    """
    log = Path(json.loads(mesh_file.read_text())["openbao"]["audit_log"])
    lent = folder / "openbao" / "audit.log"
    lent.parent.mkdir(parents=True, exist_ok=True)
    if lent.exists() and not lent.samefile(log):
        lent.unlink()
    if not lent.exists():
        lent.hardlink_to(log)


def run_all(mesh: Mesh, flows: Mapping[str, str]) -> Iterator[Run]:
    """Starts flows side by side and gives each run as it ends.

    Args:
        mesh: Where.
        flows: Ids by name.

    Raises:
        Problem: an execution has not ended after two minutes.
    """
    waiting = {_started(mesh, flow_id): name for name, flow_id in flows.items()}
    give_up = time.monotonic() + _LONGEST_SECONDS
    while waiting:
        for execution_id in list(waiting):
            request = scheduling_pb2.GetExecutionRequest(execution_id=execution_id)
            execution = mesh.scheduling.GetExecution(request).execution
            if execution.status in ENDED:
                yield Run(waiting.pop(execution_id), execution)
        if waiting and time.monotonic() > give_up:
            raise Problem(
                "DEMO_TOO_SLOW",
                f"{', '.join(waiting.values())} still run after two minutes: see `isthmus executions list`.",
            )
        time.sleep(_POLL_SECONDS)


def checks(mesh: Mesh, stream: str = "policy_posture") -> list[Check]:
    """Gives every check that the hub knows, failed ones first."""
    request = records_pb2.QueryRecordsRequest(stream=stream)
    found = [_check(record.data) for record in pages(mesh.records.QueryRecords, request, "records")]
    return sorted(found, key=lambda check: (check.status != "fail", check.policy, check.requirement))


def _check(data: str) -> Check:
    posture: dict[str, Any] = json.loads(data)
    return Check(
        posture["policyId"], posture["requirementId"], posture["status"], posture.get("evidenceRef", "")
    )


def _started(mesh: Mesh, flow_id: str) -> str:
    """Starts a flow; where a schedule was faster, gives the execution that runs already."""
    request = scheduling_pb2.StartExecutionRequest(flow_id=flow_id, request_id=str(uuid.uuid4()))
    try:
        return mesh.scheduling.StartExecution(request).execution.execution_id
    except grpc.RpcError as error:
        problem = problem_from(error)
        if problem.reason != "EXECUTION_RUNNING":
            raise problem from error
    alive = scheduling_pb2.ListExecutionsRequest(flow_id=flow_id, statuses=_ALIVE)
    running = next(pages(mesh.scheduling.ListExecutions, alive, "executions"), None)
    return running.execution_id if running is not None else _started(mesh, flow_id)
