"""Attempts against a control plane and a destination in memory."""

import asyncio
from typing import Any

import pytest
from isthmus.kit import acting_for
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.testing import TcpProxy
from isthmus.testing.waiting import eventually

Finish = scheduling.FinishAttemptRequest
Error = scheduling.ExecutionError


def accounted(counts: Any) -> int:
    """Records that are somewhere."""
    arrived = counts.created + counts.updated + counts.unchanged + counts.deleted
    return int(arrived + counts.filtered + counts.quarantined)


async def until(condition: Any) -> None:
    """Wait for something that other tasks bring about."""
    await eventually(condition, "what other tasks bring about", pause=0.005)


async def test_all_records_arrive_once_and_are_accounted_for(world):
    """
    A complete attempt delivers everything and tells how much it was.
    """
    world.registry.configuration = {"count": 100, "page": 7}

    ended = await world.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.read == ended.counts.created == accounted(ended.counts) == 100
    assert len(world.hub.data) == world.hub.versions == 100
    assert all(one.is_complete for one in world.scheduling.checkpoints.values())


async def test_the_next_attempt_goes_on_from_the_last_position(world):
    """
    What is behind a committed position is not read again after a failure.
    """
    world.registry.configuration = {"count": 60, "page": 10, "fail_at": 30}
    failed = await world.run()

    world.registry.configuration = {"count": 60, "page": 10}
    ended = await world.run()

    assert failed.outcome == Finish.OUTCOME_FAILED
    assert failed.error.kind == Error.KIND_TRANSIENT
    assert "Reading numbers of counter" in failed.error.message
    assert failed.counts.read == 30
    assert ended.counts.read == ended.counts.created == 30
    assert world.connector.reads == list(range(60))


async def test_a_short_lease_is_renewed_in_time(world):
    """
    While the source is quiet the lease is kept, however long the silence that the settings allow.
    """
    world.scheduling.lease_seconds = 3.0
    world.registry.configuration = {"count": 10, "pause": 60.0}
    with acting_for(world.tenant):
        running = asyncio.create_task(world.attempt(renew_seconds=600.0).run())

    await until(lambda: len(world.scheduling.renewals) > 1)

    world.stop.set()
    await running
    assert world.connector.reads == []


async def test_a_complete_execution_is_not_read_again(world):
    """
    An attempt that finds every partition complete has nothing to do.
    """
    await world.run()
    world.connector.reads.clear()

    ended = await world.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.read == 0
    assert world.connector.reads == []


@pytest.mark.parametrize("cut_at", [1, 2, 5, 9, 10])
async def test_a_stream_cut_at_any_batch_loses_and_doubles_nothing(world, cut_at):
    """
    The acknowledgement of one batch is lost; the batch comes again and takes no effect.
    """
    world.registry.configuration = {"count": 100, "page": 10}
    lost = iter([True])
    world.hub.before_ack = lambda one: one.sequence == cut_at and next(lost, False)
    world.hub.credit, world.hub.most_records = 3, 10

    ended = await world.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert accounted(ended.counts) == ended.counts.read == 100
    assert len(world.hub.data) == world.hub.versions == 100
    assert len(world.hub.openings) == 2


async def test_a_network_that_breaks_over_and_over_is_survived(world):
    """
    The connection to the destination is reset many times in the middle of batches.
    """
    world.registry.configuration = {"count": 400, "page": 5, "pause": 0.002}
    world.hub.pause = 0.002
    async with TcpProxy(int(world.hub_address.rpartition(":")[2])) as proxy:
        world.registry.address = lambda: f"127.0.0.1:{proxy.port}"
        running = asyncio.create_task(world.run())
        for number in range(1, 8):
            await until(lambda: len(world.hub.data) >= number * 40 or running.done())  # noqa: B023
            proxy.cut()
            await asyncio.sleep(0.01)
            proxy.heal()
        ended = await running

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert accounted(ended.counts) == ended.counts.read == 400
    assert len(world.hub.data) == world.hub.versions == 400


async def test_a_destination_that_stays_away_ends_the_attempt_as_transient(world):
    """
    After the patience is used up another attempt has to follow.
    """
    world.registry.address = lambda: "127.0.0.1:1"

    ended = await world.run(patience_seconds=0.3)

    assert ended.outcome == Finish.OUTCOME_FAILED
    assert ended.error.kind == Error.KIND_TRANSIENT
    assert "Writing numbers of hub" in ended.error.message


async def test_a_failing_destination_is_named_as_people_name_it(world):
    """
    Nobody knows an instance by its id; where the registry does not answer, the id has to do.
    """
    world.registry.address = lambda: "127.0.0.1:1"
    messages = []
    for instance in ("ins_sink", "ins_unknown"):
        grant = world.scheduling.grant()
        grant.flow.destination.instance_id = instance
        messages.append((await world.run(grant, patience_seconds=0.3)).error.message)

    assert "Writing numbers of counter" in messages[0]
    assert "Writing numbers of ins_unknown" in messages[1]


async def test_a_slow_destination_holds_the_source_back(world):
    """
    While nothing is acknowledged only a few pages are read, however long the stream is.
    """
    world.registry.configuration = {"count": 1_000_000, "page": 1000}
    world.hub.open_gate.clear()
    running = asyncio.create_task(world.run())
    await until(lambda: world.hub.openings)
    await asyncio.sleep(0.5)

    read = len(world.connector.reads)

    assert read <= 1000 * (world.hub.credit + 4)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_small_pages_travel_together_while_the_destination_is_busy(world):
    """
    A slow destination gets few large batches instead of many small ones.
    """
    world.registry.configuration = {"count": 500, "page": 5}
    world.hub.pause = 0.05

    ended = await world.run()

    assert ended.counts.created == 500
    assert len(world.hub.batches) < 30


async def test_a_cancelled_execution_ends_with_what_is_durable(world):
    """
    A wish to stop that comes with a commit ends the attempt as cancelled, with exact counts.
    """
    world.registry.configuration = {"count": 100_000, "page": 10, "pause": 0.001}
    running = asyncio.create_task(world.run())
    await until(lambda: len(world.hub.data) > 50)
    world.scheduling.cancel = True

    ended = await running

    assert ended.outcome == Finish.OUTCOME_CANCELLED
    assert ended.counts.read == accounted(ended.counts) == len(world.hub.data) > 50


async def test_a_host_that_has_to_stop_hands_the_execution_on(world):
    """
    SIGTERM finishes what is in flight; the next attempt goes on exactly there.
    """
    world.registry.configuration = {"count": 1000, "page": 10, "pause": 0.001}
    running = asyncio.create_task(world.run())
    await until(lambda: len(world.hub.data) > 50)
    world.stop.set()
    ended = await running
    world.stop.clear()

    finished = await world.run()

    assert ended.error.kind == Error.KIND_STOPPED
    assert ended.counts.read + finished.counts.read == 1000
    assert finished.counts.created + ended.counts.created == len(world.hub.data) == world.hub.versions == 1000


async def test_an_attempt_that_the_destination_fences_stops_without_a_word(world):
    """
    Another attempt has written already: the old one neither writes nor finishes.
    """
    grant = world.scheduling.grant()
    world.hub.seen[""] = (99, 1)

    with acting_for(world.tenant):
        execution = await world.attempt(grant).run()

    assert execution is None
    assert world.scheduling.finished == []
    assert world.hub.data == {}


async def test_an_attempt_that_scheduling_fences_stops_at_once(world):
    """
    The lease went to another attempt: the next commit says so, and nothing more is written.
    """
    world.registry.configuration = {"count": 100_000, "page": 10, "pause": 0.001}
    grant = world.scheduling.grant()
    running = asyncio.create_task(world.attempt(grant).run())
    await until(lambda: len(world.hub.data) > 20)
    world.scheduling.token += 1

    assert await running is None
    assert world.scheduling.finished == []
    assert len(world.hub.data) < 5000


async def test_scheduling_may_be_away_for_a_while(world):
    """
    Records keep flowing, and the positions are committed when it is back.
    """
    world.registry.configuration = {"count": 300, "page": 10, "pause": 0.005}
    world.scheduling.away = True
    running = asyncio.create_task(world.run())
    await until(lambda: len(world.hub.data) == 300)
    commits = len(world.scheduling.commits)
    world.scheduling.away = False

    ended = await running

    assert commits == 0
    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.read == 300


async def test_an_attempt_is_abandoned_when_scheduling_stays_away_beyond_the_lease(world):
    """
    Another host may have the lease by then, so nothing more is written and nothing is said.
    """
    world.scheduling.lease_seconds = 1
    world.registry.configuration = {"count": 100_000, "page": 1, "pause": 0.01}
    grant = world.scheduling.grant()
    world.scheduling.away = True

    with acting_for(world.tenant):
        execution = await world.attempt(grant).run()

    assert execution is None
    assert world.scheduling.finished == []


async def test_committed_counts_belong_to_the_committed_position(world):
    """
    Every commit accounts for exactly the records up to its position.
    """
    world.registry.configuration = {"count": 200, "page": 10, "pause": 0.002}

    await world.run()

    assert world.scheduling.commits
    for commit in world.scheduling.commits:
        (checkpoint,) = commit.checkpoints or [None]
        assert accounted(commit.counts) == commit.counts.read
        if checkpoint is not None and not checkpoint.is_complete:
            assert f'"at":{commit.counts.read}' in checkpoint.position.state.decode()


async def test_much_that_is_durable_is_committed_soon(world):
    """
    A long pause between commits is cut short once thousands of records would be read again without one.
    """
    world.registry.configuration = {"count": 30_000, "page": 1_000}

    await world.run(commit_seconds=3600.0)

    assert any(0 < commit.counts.read < 30_000 for commit in world.scheduling.commits)


async def test_a_secret_renewed_during_a_sync_is_taken_up(world):
    """
    The system refuses the old token in the middle; reading goes on with the new one.
    """
    world.registry.configuration = {"count": 60, "page": 5, "pause": 0.005}
    world.registry.auth_config_id = "ath_1"
    world.connector.good_token = "old"
    running = asyncio.create_task(world.run())
    await until(lambda: len(world.hub.data) >= 20)
    world.vault.token, world.vault.version = "new", 2
    world.connector.good_token = "new"

    ended = await running

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.created == ended.counts.read == len(world.hub.data) == 60


async def test_an_access_token_that_ends_early_is_replaced(world):
    """
    The credentials service is told which token was refused; reading goes on with the one it gives.
    """
    world.registry.configuration = {"count": 60, "page": 5, "pause": 0.005}
    world.registry.auth_config_id = "ath_1"
    world.vault.has_tokens, world.vault.next_tokens = True, ["new"]
    world.connector.good_token = "old"
    running = asyncio.create_task(world.run())
    await until(lambda: len(world.hub.data) >= 20)
    world.connector.good_token = "new"

    ended = await running

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert ended.counts.created == ended.counts.read == len(world.hub.data) == 60
    assert world.vault.refused == ["tok_old"]


async def test_a_system_that_refuses_every_token_is_not_asked_for_ever(world):
    """
    However many tokens there are to be had, the attempt ends and says why.
    """
    world.registry.auth_config_id = "ath_1"
    world.vault.has_tokens, world.vault.next_tokens = True, [str(number) for number in range(100)]
    world.connector.good_token = "none of them"

    ended = await world.run()

    assert ended.error.kind == Error.KIND_AUTHENTICATION
    assert len(world.vault.next_tokens) > 90


async def test_a_refused_secret_fails_once_and_clearly(world):
    """
    Without a newer secret a person has to act.
    """
    world.registry.auth_config_id = "ath_1"
    world.connector.good_token = "another"

    ended = await world.run()

    assert ended.error.kind == Error.KIND_AUTHENTICATION
    assert ended.error.reason == "AUTHENTICATION_FAILED"


async def test_a_mistake_in_the_configuration_fails_as_such(world):
    """
    The settings do not fit the connector: no other attempt would help.
    """
    world.registry.configuration = {"count": "many"}

    ended = await world.run()

    assert ended.error.kind == Error.KIND_CONFIGURATION
    assert "count" in ended.error.message


async def test_a_stop_is_heeded_while_the_control_plane_is_away(world):
    """
    An attempt that still waits for its configuration ends as stopped, not after its patience.
    """
    world.registry.away = True
    running = asyncio.create_task(world.run(patience_seconds=60.0))
    await until(lambda: world.registry.asked)
    world.stop.set()

    ended = await running

    assert ended.error.kind == Error.KIND_STOPPED


async def test_a_source_that_falls_silent_counts_as_dead(world):
    """
    A page that does not come within the stream's longest silence ends the attempt as transient.
    """
    world.registry.configuration = {"count": 10, "pause": 30.0}
    world.monkeypatch.setattr("isthmus.host.attempt.reading._SILENCE_MARGIN", -299.8)

    ended = await world.run()

    assert ended.error.reason == "SOURCE_SILENT"
    assert ended.error.kind == Error.KIND_TRANSIENT
