"""Several flows started by one command."""

import uuid
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import typer
from isthmus.client.cli.context import flow_id
from isthmus.client.cli.output import Column, Format, note, show
from isthmus.client.cli.progress import watch
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.scheduling.v1 import scheduling_pb2

_MOST_AT_ONCE = 100
_WILD = frozenset("*?[")
_STATUS = scheduling_pb2.Execution
ENDED_BADLY = frozenset({_STATUS.STATUS_FAILED, _STATUS.STATUS_CANCELLED})
"""States in which an execution has not done what it was started for."""


def names_one(flows: Sequence[str]) -> bool:
    """Tells whether exactly one flow is meant, by its own name or id."""
    return len(flows) == 1 and not _WILD & set(flows[0])


def flows_meant(mesh: Mesh, flows: Sequence[str], *, every: bool) -> list[str]:
    """Gives the ids of the flows that are named, each once.

    A pattern, and `every`, mean only those that can be started: active ones that are not paused.

    Raises:
        Problem: Nothing is named, everything and something, or what does not exist.
    """
    if every == bool(flows):
        message = "Name flows, or say --all for every flow that is active and not paused."
        raise Problem("FLOWS_UNCLEAR", message, exit_code=ExitCode.USAGE)
    patterns = ["*"] if every else [one for one in flows if not names_one([one])]
    ready = list(_ready(mesh)) if patterns else []
    found = [flow_id(mesh, one) for one in flows if names_one([one])]
    for pattern in patterns:
        matching = [one.flow_id for one in ready if fnmatchcase(one.name, pattern)]
        if not matching:
            message = f"No flow that is active and not paused is called {pattern}: `isthmus flows list`."
            raise Problem("FLOW_UNKNOWN", message, exit_code=ExitCode.USAGE)
        found += matching
    return list(dict.fromkeys(found))


def run_several(
    mesh: Mesh,
    starts: Sequence[scheduling_pb2.StartExecutionRequest],
    columns: Sequence[Column],
    output: Format,
    *,
    follow: bool,
) -> None:
    """Starts flows, a hundred with each call, and shows their executions; those refused are noted.

    Raises:
        typer.Exit: One could not be started, or has not ended well.
    """
    executions, refused = [], 0
    for asked, result in _results(mesh, starts):
        if result.HasField("started"):
            executions.append(result.started.execution)
        else:
            refused += 1
            note(f"{asked.flow_id}: {result.refusal.message} ({result.refusal.reason})")
    if follow:
        executions = [watch(mesh, one.execution_id, quiet=True) for one in executions]
    show(executions, columns, output, empty="Nothing was started.")
    if refused or any(one.status in ENDED_BADLY for one in executions):
        raise typer.Exit(ExitCode.FAILED)


def start_of(flow: str, priority: int | None) -> scheduling_pb2.StartExecutionRequest:
    """Asks for a flow to be started."""
    request_id = str(uuid.uuid4())
    return scheduling_pb2.StartExecutionRequest(flow_id=flow, request_id=request_id, priority=priority)


def _ready(mesh: Mesh) -> Iterator[scheduling_pb2.Flow]:
    request = scheduling_pb2.ListFlowsRequest(page_size=1000)
    for one in pages(mesh.scheduling.ListFlows, request, "flows"):
        if one.is_active and not one.is_paused:
            yield one


def _results(
    mesh: Mesh, starts: Sequence[scheduling_pb2.StartExecutionRequest]
) -> Iterator[tuple[scheduling_pb2.StartExecutionRequest, scheduling_pb2.StartResult]]:
    for first in range(0, len(starts), _MOST_AT_ONCE):
        asked = starts[first : first + _MOST_AT_ONCE]
        request = scheduling_pb2.StartExecutionsRequest(starts=asked)
        yield from zip(asked, mesh.scheduling.StartExecutions(request).results, strict=True)
