"""PostgreSQL and the hub die in the middle of writes; nothing is lost and nothing doubled."""

import asyncio
import contextlib

import grpc
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as pb_grpc

BATCHES, SIZE = 40, 100


async def _write_all(hub, token: int, acked: set[int]) -> bool:
    """Write what is not acknowledged yet as one attempt; False when the attempt broke."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, AssertionError):
        write = await hub.open("rows", token=token)
        left = [number for number in range(BATCHES) if number not in acked]
        waiting: list[int] = []
        for number in left:
            keys = [f"{number}-{n}" for n in range(SIZE)]
            await write.send([{"batch": number, "n": n} for n in range(SIZE)], keys)
            waiting.append(number)
            if len(waiting) == write.ready.credit:
                await asyncio.wait_for(write.ack(), 30)
                acked.add(waiting.pop(0))
        for number in waiting:
            await asyncio.wait_for(write.ack(), 30)
            acked.add(number)
        return True
    return False


async def test_database_killed_in_mid_write(hub, postgres):
    """
    Attempts go on behind what was acknowledged, through three crashes, and every record is there once.
    """
    acked: set[int] = set()
    token = 0
    for crash in range(4):
        done = asyncio.Event()

        async def attempt(done: asyncio.Event = done) -> None:
            nonlocal token
            while not done.is_set():
                token += 1
                if await _write_all(hub, token, acked):
                    done.set()
                await asyncio.sleep(0.05)

        before = len(acked)
        writing = asyncio.create_task(attempt())
        while crash < 3 and len(acked) < min(before + 5, BATCHES) and not done.is_set():
            await asyncio.sleep(0.001)
        if crash < 3 and not done.is_set():
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
        await asyncio.wait_for(writing, 60)

    place = f"tenant_id = '{hub.tenant}'"
    counted = "SELECT count(*), count(DISTINCT key), sum(version) FROM records.records"
    assert hub.sql(f"{counted} WHERE {place}") == [(BATCHES * SIZE,) * 3]
    assert hub.sql(f"SELECT count(*) FROM records.record_history WHERE {place}") == [(0,)]
    changes = hub.sql(f"SELECT count(*), count(DISTINCT change) FROM records.records WHERE {place}")
    assert changes == [(BATCHES * SIZE,) * 2]


async def test_database_away(hub, postgres, refused, ended):
    """
    While PostgreSQL is away callers are told to come back, and afterwards all works without a restart.
    """
    await hub.put("rows", [{"n": 1}], ["a"])
    write = await hub.open("rows", token=99)
    postgres.kill()
    try:
        await write.send([{"n": 2}], ["b"])
        assert await ended(write.call) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNREACHABLE")
    finally:
        postgres.start()

    assert (await hub.put("rows", [{"n": 3}], ["c"], flow="flw_other")).created == 1


async def test_hub_drains(running):
    """
    A hub that is told to stop tells an idle writer to go elsewhere instead of waiting for it.
    """
    async with running("records") as service:
        call = pb_grpc.ConnectorServiceStub(service.channel(tenant="tnt_d")).Write()
        opened = pb.WriteOpen(stream="s", flow_id="f", fencing_token=1)
        await call.write(pb.WriteRequest(open=opened))
        await call.read()
        stopping = asyncio.create_task(service.stop())
        code = await asyncio.wait_for(call.code(), 30)
        await stopping

    assert code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
