"""Live progress of an execution."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from isthmus.client.mesh import Mesh
from isthmus.scheduling.v1 import scheduling_pb2
from rich.console import Console
from rich.live import Live
from rich.text import Text

ENDED = frozenset(
    {
        scheduling_pb2.Execution.STATUS_COMPLETED,
        scheduling_pb2.Execution.STATUS_FAILED,
        scheduling_pb2.Execution.STATUS_CANCELLED,
    }
)
_RETRY_SECONDS = 60.0
_Item = TypeVar("_Item")


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows on a terminal that something is going on."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


def one_by_one(items: Iterable[_Item], text: str) -> Iterator[_Item]:
    """Gives items as they come and shows in between that more is awaited."""
    source, nothing = iter(items), object()
    while True:
        with waiting(text):
            item = next(source, nothing)
        if item is nothing:
            return
        yield cast(_Item, item)


def watch(mesh: Mesh, execution_id: str, *, quiet: bool = False) -> scheduling_pb2.Execution:
    """Follows an execution to its end and gives it; shows records per second, time left and retries.

    A control plane that restarts meanwhile is waited for, up to a minute.

    Raises:
        grpc.RpcError: the mesh refused, or stayed away too long.
    """
    console = Console(stderr=True, highlight=False)
    last = scheduling_pb2.Execution(execution_id=execution_id)
    if quiet or not console.is_terminal:
        for answer in _answers(mesh, execution_id):
            last = answer.execution
        return last
    with Live(Text("waiting for a host …"), console=console, transient=True, refresh_per_second=8) as live:
        for answer in _answers(mesh, execution_id):
            last = answer.execution
            live.update(Text(line(answer)))
    return last


def leg_word(leg: scheduling_pb2.Leg.ValueType) -> str:
    """Gives a leg of a two-way flow as words."""
    return scheduling_pb2.Leg.Name(leg).removeprefix("LEG_").replace("_", " ").lower()


def line(answer: scheduling_pb2.WatchExecutionResponse) -> str:
    """Gives one line about where an execution is."""
    execution, counts = answer.execution, answer.execution.counts
    parts = [
        execution.flow_name,
        scheduling_pb2.Execution.Status.Name(execution.status).removeprefix("STATUS_").lower(),
        *([leg_word(execution.leg)] if execution.leg else []),
        *(["waits for its turn at the instance"] if execution.waiting_for_instance_id else []),
        f"{counts.read:,} read",
        f"{counts.created + counts.updated:,} written",
        f"{counts.unchanged:,} unchanged",
    ]
    if counts.quarantined:
        parts.append(f"{counts.quarantined:,} quarantined")
    if answer.records_per_second:
        parts.append(f"{answer.records_per_second:,.0f}/s")
    left = execution.expected_records - counts.read
    if left > 0 and answer.records_per_second:
        parts.append(f"about {left / answer.records_per_second:,.0f} s left")
    again = max(execution.attempts - max(len(execution.legs), 1), 0)
    if again or counts.retries:
        parts.append(f"{again} new attempts, {counts.retries} retries")
    return " · ".join(parts)


def _answers(mesh: Mesh, execution_id: str) -> Iterator[scheduling_pb2.WatchExecutionResponse]:
    request = scheduling_pb2.WatchExecutionRequest(execution_id=execution_id)
    give_up = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            for answer in mesh.scheduling.WatchExecution(request):
                give_up = time.monotonic() + _RETRY_SECONDS
                yield answer
                if answer.execution.status in ENDED:
                    return
        except grpc.RpcError as error:
            away = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE
            if not away or time.monotonic() > give_up:
                raise
        time.sleep(0.5)
