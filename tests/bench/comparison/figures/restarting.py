"""Keeps flows busy: whoever has ended is started again at once, as the mesh's own events tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import nats

from comparison.mesh import LocalMesh

__all__ = ["Ended", "restarted"]

_SUBJECT = "isthmus.v1.*.scheduling.sync.*"
_STARTERS = 8
_GIVE_UP_SECONDS = 120.0


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
    return asyncio.run(_restarted(mesh, flow_ids, seconds))


async def _restarted(mesh: LocalMesh, flow_ids: Sequence[str], seconds: float) -> Ended:
    loop, found, idle = asyncio.get_running_loop(), Ended(seconds=seconds), asyncio.Event()
    tasks: set[asyncio.Future[Any]] = set()
    at_work: set[str] = set()
    ends_at = loop.time() + seconds
    with ThreadPoolExecutor(_STARTERS) as pool:

        def start(flow_id: str) -> None:
            at_work.add(flow_id)
            tasks.add(loop.run_in_executor(pool, mesh.start, flow_id))

        async def heard(message: Any) -> None:
            verb = message.subject.rpartition(".")[2]
            if verb == "started":
                return
            flow_id = json.loads(message.data)["data"]["execution"]["flowId"]
            at_work.discard(flow_id)
            found.failed += verb != "completed"
            if loop.time() < ends_at:
                found.in_time += verb == "completed"
                start(flow_id)
            elif not at_work:
                idle.set()

        client = await nats.connect(mesh.nats_url)
        try:
            await client.subscribe(_SUBJECT, cb=heard)
            await client.flush()
            for flow_id in flow_ids:
                start(flow_id)
            await asyncio.wait_for(idle.wait(), seconds + _GIVE_UP_SECONDS)
            await asyncio.gather(*tasks)
        finally:
            await client.close()
    return found
