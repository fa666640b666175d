"""Malformed requests of every kind to every RPC: a clear refusal each time, soon, and nothing breaks."""

import asyncio

import pytest
from grpc import StatusCode
from isthmus.testing.contract import GOOD_TEXTS, Filler
from isthmus.testing.malformed import Spoiler

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

CASES = 20
SECONDS = 15.0
NOT_OUR_FAULT = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DEADLINE_EXCEEDED, StatusCode.DATA_LOSS}


def restarts(mesh):
    """Tell how often processes were restarted; other tests of the same mesh kill some."""
    return {process["name"]: process["restarts"] for process in mesh.answer("status")["processes"]}


async def test_no_request_makes_a_service_fail(world, owner):
    """
    What cannot be done is refused with a reason; no call fails inside, and none hangs.
    """
    [process] = world.with_permissions([{rpc.permission for rpc in world.rpcs}])
    gate = asyncio.Semaphore(16)
    before = restarts(world.mesh)

    async def tried(rpc, case):
        requests = Filler({**GOOD_TEXTS, "name": f"spoilt-{case}", **owner.values}).requests(rpc)
        spoiler = Spoiler(f"{rpc.path}:{case}")
        for request in requests:
            spoiler.spoil(request)
        async with gate:
            done = await world.callers.call(rpc, requests, process.identity(owner.tenant_id), seconds=SECONDS)
        return f"{rpc.path} {case}", done

    found = await asyncio.gather(*(tried(rpc, case) for rpc in world.rpcs for case in range(CASES)))

    assert not [f"{call}: {done.text}" for call, done in found if done.code in NOT_OUR_FAULT]
    assert {call: done.text for call, done in found if done.code != StatusCode.OK and not done.reason} == {}
    assert restarts(world.mesh) == before
