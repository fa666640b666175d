"""Jobs on a real NATS, and a host as a process of its own."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest
from isthmus.host.jobs import Jobs
from isthmus.host.slots import Slots
from isthmus.kit.bus import Bus
from isthmus.testing import kill9
from isthmus.testing.waiting import eventually, waiting_for


async def until(condition: Any) -> None:
    """Wait for something that other tasks bring about."""
    await eventually(condition, "what other tasks bring about", pause=0.01)


@pytest.fixture
async def bus(nats_server: Any) -> AsyncIterator[Any]:
    made = Bus(nats_server.url, "test")
    running = asyncio.create_task(made.run())
    await made.ready(10)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close()


@pytest.fixture
async def jobs(world: Any, bus: Any) -> AsyncIterator[Any]:
    stopping = asyncio.Event()
    made = Jobs(world.tools(executions=2), "hst_test", stopping)
    pulling = asyncio.create_task(made.pull(bus))
    yield made
    stopping.set()
    await pulling
    await made.stop()


async def send(bus: Any, execution_id: str) -> None:
    body = json.dumps({"tenantId": "tnt_test", "executionId": execution_id, "flowId": "flw_1"})
    await bus.publish("isthmus.jobs.numbers", body.encode())


async def test_a_job_is_carried_out(world, bus, jobs):
    """
    The host takes the lease, acknowledges the job and delivers the records.
    """
    world.scheduling.grants["exe_1"] = world.scheduling.grant

    await send(bus, "exe_1")
    await until(lambda: world.scheduling.finished)

    assert world.scheduling.finished[0].counts.created == 10


async def test_executions_that_are_handed_over_need_no_job(world, bus):
    """
    A host that tells the end of one execution is given others, as many as it has room for beside its queue.
    """
    names = [f"exe_{number}" for number in range(6)]
    world.scheduling.grants.update(dict.fromkeys(names, lambda: fresh(world)))
    world.scheduling.waiting += names[1:]
    stopping = asyncio.Event()
    made = Jobs(world.tools(executions=4), "hst_test", stopping)
    pulling = asyncio.create_task(made.pull(bus))
    await send(bus, names[0])
    await until(lambda: len(world.scheduling.finished) == len(names))
    stopping.set()
    await pulling
    await made.stop()

    assert not world.scheduling.waiting
    assert [made.reserve(), Slots(4).reserve(), Slots(3).reserve()] == [0, 3, 0]


async def test_an_execution_goes_under_the_correlation_id_of_its_job(world, bus, jobs):
    """
    What somebody started with one request can be found under one id, also behind the bus.
    """
    world.scheduling.grants["exe_1"] = world.scheduling.grant
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = json.dumps({"tenantId": "tnt_test", "executionId": "exe_1"}).encode()

    headers = {"isthmus-correlation-id": "cor_1", "traceparent": trace}
    await bus.publish("isthmus.jobs.numbers", body, headers=headers)
    await until(lambda: world.scheduling.finished)
    await jobs.idle()
    await jobs._tools.reports.flush()

    assert {line.correlation_id for line in world.monitoring.logs} == {"cor_1"}


async def test_a_job_that_nobody_needs_any_more_is_dropped(world, bus, jobs):
    """
    An ended execution is acknowledged and the next job follows.
    """
    world.scheduling.grants["exe_1"] = world.scheduling.grant

    await send(bus, "exe_gone")
    await send(bus, "exe_1")
    await until(lambda: world.scheduling.finished)
    await jobs.idle()

    # Other tests leave jobs of other connectors in the stream that all share.
    info = await bus.jetstream.stream_info("ISTHMUS_JOBS", subjects_filter="isthmus.jobs.numbers")
    assert not info.state.subjects


async def test_a_body_that_is_no_job_is_dropped(world, bus, jobs):
    """
    One bad message must not keep others from being taken.
    """
    world.scheduling.grants["exe_1"] = world.scheduling.grant

    await bus.publish("isthmus.jobs.numbers", b"no job")
    await send(bus, "exe_1")

    await until(lambda: world.scheduling.finished)


async def test_no_more_executions_are_taken_than_there_is_room_for(world, bus, jobs):
    """
    The third job waits on the bus until one of two executions has ended.
    """
    world.registry.configuration = {"count": 10, "page": 10, "pause": 0.2}
    taken: list[int] = []
    for number in range(3):
        world.scheduling.grants[f"exe_{number}"] = lambda: taken.append(jobs.room) or fresh(world)
        await send(bus, f"exe_{number}")

    await until(lambda: len(taken) == 3)
    await jobs.idle()

    assert min(taken) >= 1


def fresh(world: Any) -> Any:
    """A lease on a flow of its own."""
    grant = world.scheduling.grant()
    world.scheduling.token = 0
    return grant


async def test_jobs_are_pulled_again_after_the_whole_store_has_vanished(world, bus, jobs, nats_server):
    """
    Streams and consumers are gone; both come back, and jobs sent again are taken.
    """
    client = await nats.connect(nats_server.url)
    for stream in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(stream.config.name)
    await client.close()
    await bus.ensure_streams()
    world.scheduling.grants["exe_1"] = world.scheduling.grant

    async with waiting_for("a finished attempt"):
        while not world.scheduling.finished:
            await send(bus, "exe_1")
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def process(world: Any, nats_url: str, *arguments: str) -> AsyncIterator[Any]:
    """Run a host the way people do."""
    peers = ("REGISTRY", "CREDENTIALS", "MAPPING", "SCHEDULING", "RECORDS", "MONITORING")
    environment = {
        **os.environ,
        **{f"ISTHMUS_{peer}_ADDRESS": world.control_address for peer in peers},
        "ISTHMUS_NATS_URL": nats_url,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus.host",
        *arguments,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            kill9(child.pid)
        await child.wait()


async def test_a_host_process_registers_and_leaves_on_sigterm(world, nats_url):
    """
    It is known within seconds, and SIGTERM ends it well before ten seconds are over.
    """
    async with process(world, nats_url, "--connector", "files") as child:
        await until(lambda: world.registry.hosts)
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await child.wait()

    assert child.returncode == 0
    assert world.registry.connectors[0].connector_id == "files"
    assert set(world.registry.gone) == {world.registry.hosts[0].host_id}


async def test_an_unknown_connector_is_refused_in_one_sentence(world, nats_url):
    """
    The message names those that are installed, and there is no traceback.
    """
    async with process(world, nats_url, "--connector", "letters") as child:
        _, told = await child.communicate()

    assert child.returncode == 1
    assert "CONNECTOR_UNKNOWN" in told.decode()
    assert "files" in told.decode()
    assert "Traceback" not in told.decode()
