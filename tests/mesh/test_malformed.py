"""Malformed requests of every kind to every RPC: a clear refusal each time, soon, and nothing breaks.

`make fuzz COUNT=… SEED=…` sends more of them, or others.
"""

import asyncio
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from sys import stdout

import pytest
from grpc import StatusCode
from isthmus.gateway.v1 import gateway_pb2
from isthmus.testing.attempts import shares
from isthmus.testing.contract import GOOD_TEXTS, Filler
from isthmus.testing.mutations import Mutator

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(3600)]

COUNT = int(os.environ.get("ISTHMUS_FUZZ", "3000"))
SEED = os.environ.get("ISTHMUS_SEED", "0")
AT_ONCE = 16
SECONDS = 15.0
NOT_OUR_FAULT = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DEADLINE_EXCEEDED, StatusCode.DATA_LOSS}
SERVING = gateway_pb2.ServiceHealth.STATE_SERVING
MOST_GROWTH = 256 * 1024 * 1024


def processes(mesh):
    """Tells which processes there are, and how often each was restarted."""
    return {one["name"]: (one["pid"], one["restarts"]) for one in mesh.answer("status")["processes"]}


def memory(mesh):
    """Tells what each process takes, in bytes."""
    found = {}
    for name, (pid, _) in processes(mesh).items():
        with suppress(OSError):
            found[name] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return found


async def asked(callers, rpc, sent, identity):
    """Calls, and again where nobody knows what the service has said.

    What takes too long while the machine rests does not the next time; and a stream that ends while more is
    sent may end with a word of the library's own.
    """
    for _ in range(5):
        done = await callers.call(rpc, sent, identity, seconds=SECONDS)
        if done.code != StatusCode.DEADLINE_EXCEEDED and "Internal error from Core" not in done.message:
            break
    return done


async def test_no_request_makes_a_service_fail(world, owner, host_callers):
    """
    What cannot be done is refused with a reason; nothing fails inside, hangs, ends or grows.
    """
    [process] = world.with_permissions([{rpc.permission for rpc in world.rpcs}])
    before, room = processes(world.mesh), memory(world.mesh)
    left, wrong, codes = shares(world.rpcs, COUNT, SEED), {}, Counter()

    async def work():
        for rpc, case in left:
            mutator = Mutator(f"{SEED}:{rpc.path}:{case}")
            good = Filler({**GOOD_TEXTS, "name": f"spoilt-{case}", **owner.values}).requests(rpc)
            sent = mutator.stream(good) if rpc.method.client_streaming else [mutator.one(good[0])]
            callers = host_callers if rpc.package == "connector" and case % 2 else world.callers
            identity = dict(process.identity(owner.tenant_id)) | dict(mutator.metadata)
            done = await asked(callers, rpc, sent, [*identity.items()])
            codes[done.code.name] += 1
            if done.code in NOT_OUR_FAULT or (done.code != StatusCode.OK and not done.reason):
                wrong[f"{rpc.path} {case}"] = done.text

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    health = await world.do(world.administrator, "gateway.GetMeshHealth")
    grown = {name for name, size in memory(world.mesh).items() if size > room.get(name, 0) + MOST_GROWTH}

    stdout.write(f"{COUNT} malformed requests with seed {SEED}: {dict(codes)}\n")
    assert wrong == {}
    assert {one.state for one in health.services} == {SERVING}
    assert processes(world.mesh).items() >= before.items()
    assert grown == set()
