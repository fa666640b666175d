"""Keeps flows busy: whoever has ended is started again at once, as the mesh's own events tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc.aio
import nats
import uvloop
from isthmus.scheduling.v1.scheduling_pb2 import StartExecutionRequest, StartExecutionsRequest
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub

from comparison.mesh import LocalMesh

__all__ = ["Ended", "restarted"]

_ENDS = ("completed", "failed", "cancelled")
_START_SECONDS = 60.0
_GIVE_UP_SECONDS = 120.0
_GATHER_SECONDS = 0.01
_MOST_AT_ONCE = 100


@dataclass
class Ended:
    """What has ended.

    Attributes:
        in_time: Executions that completed while flows were kept busy.
        seconds: How long they were.
        failed: Executions that did not complete, then or later.
    """

    in_time: int = 0
    seconds: float = 0.0
    failed: int = 0


def restarted(mesh: LocalMesh, flow_ids: Sequence[str], seconds: float) -> Ended:
    """Keeps flows busy for a while, then waits until all have ended.

    Listening costs the mesh nothing; watching every execution would cost more than a small sync.

    Args:
        mesh: Where.
        flow_ids: Which flows; none of them is at work.
        seconds: How long; 0 runs each of them once.
    """
    return uvloop.run(_restarted(mesh, flow_ids, seconds))


async def _restarted(mesh: LocalMesh, flow_ids: Sequence[str], seconds: float) -> Ended:
    loop, found, idle = asyncio.get_running_loop(), Ended(seconds=seconds), asyncio.Event()
    tasks: set[asyncio.Future[Any]] = set()
    at_work: set[str] = set()
    ends_at = loop.time() + seconds
    async with _starting(mesh) as start_all:
        due: list[str] = []

        def start(flow_id: str) -> None:
            at_work.add(flow_id)
            if not due:
                loop.call_later(_GATHER_SECONDS, start_due)
            due.append(flow_id)

        def start_due() -> None:
            for first in range(0, len(due), _MOST_AT_ONCE):
                task = asyncio.ensure_future(begin(due[first : first + _MOST_AT_ONCE]))
                task.add_done_callback(look_at)
                tasks.add(task)
            due.clear()

        def look_at(done: asyncio.Future[Any]) -> None:
            if done.cancelled() or done.exception():
                idle.set()  # nobody waits for the end of what has not begun

        async def begin(flow_ids: Sequence[str]) -> None:
            answer = await start_all(flow_ids)
            for flow_id, result in zip(flow_ids, answer.results, strict=True):
                if result.HasField("refusal"):
                    raise RuntimeError(f"{flow_id} cannot be started: {result.refusal.message}")

        async def heard(message: Any) -> None:
            verb = message.subject.rpartition(".")[2]
            flow_id = json.loads(message.data)["data"]["execution"]["flowId"]
            at_work.discard(flow_id)
            found.failed += verb != "completed"
            if loop.time() < ends_at:
                found.in_time += verb == "completed"
                start(flow_id)
            elif not at_work:
                idle.set()

        client = await nats.connect(mesh.nats_url, tls=mesh.nats_check)
        try:
            for end in _ENDS:
                await client.subscribe(f"isthmus.v1.*.scheduling.sync.{end}", cb=heard)
            await client.flush()
            for flow_id in flow_ids:
                start(flow_id)
            await asyncio.wait_for(idle.wait(), seconds + _GIVE_UP_SECONDS)
            await asyncio.gather(*tasks)
        finally:
            await client.close()
    return found


@asynccontextmanager
async def _starting(mesh: LocalMesh) -> AsyncIterator[Callable[[Sequence[str]], Awaitable[Any]]]:
    """Gives what starts flows; however many calls are made at once, none waits here for another."""
    profile = mesh.api.profile
    metadata = (("authorization", f"Bearer {profile.api_key}"),)
    async with grpc.aio.insecure_channel(profile.addresses["scheduling"]) as channel:
        stub: Any = SchedulingServiceStub(channel)

        async def start(flow_ids: Sequence[str]) -> Any:
            starts = [StartExecutionRequest(flow_id=flow_id, request_id=str(uuid4())) for flow_id in flow_ids]
            request = StartExecutionsRequest(starts=starts)
            return await stub.StartExecutions(request, metadata=metadata, timeout=_START_SECONDS)

        yield start
