"""An instance's limits on a real server: what is tried again, what is held back, and where it goes on."""

import asyncio
from contextlib import aclosing

import psycopg
import pytest
from isthmus.connectors.postgres import connector, line, thorough
from isthmus.connectors.postgres.failing import verdict_of
from isthmus.sdk import BatchId, TransientFailure
from isthmus.sdk.runtime import Guards, Limits, ReadMode
from isthmus.testing.clock import StandingClock
from isthmus.testing.faults import TcpProxy

PATIENT = {"retry": {"attempts": 6, "strategy": "fixed", "first_wait_seconds": 0}}
EVERY_ROW = {"page_rows": 1}


def guards(document, **more):
    return Guards(Limits.of(document), **more)


def hang_up(sql):
    """Ends every connection of the connector, as an administrator or a restart does."""
    sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'isthmus'")


async def read(session, stream, after_each=lambda: None, **options):
    found = []
    async with aclosing(await session.read(stream, **options)) as reading:
        async for page in reading:
            found += [record["id"] for record in page.records]
            after_each()
    return found, reading.stats


async def test_a_reading_whose_connection_is_ended_goes_on_where_it_stood(sql, opened):
    """
    Every page comes once, though the server hangs up after each.
    """
    sql("create table n (id int primary key); insert into n select generate_series(1, 4)")

    async with opened(EVERY_ROW, guards=guards(PATIENT)) as session:
        found, stats = await read(session, "n", lambda: hang_up(sql), mode=ReadMode.FULL)

    assert found == [1, 2, 3, 4]
    assert stats.retries > 0
    assert stats.api_calls > stats.retries


async def test_rows_without_a_key_are_not_taken_up_in_the_middle(sql, opened):
    """
    Another cursor would begin at another row, so the reading fails, and passes by itself.
    """
    sql("create table n (id int); insert into n select generate_series(1, 9)")

    async with opened(EVERY_ROW, guards=guards(PATIENT)) as session:
        with pytest.raises(TransientFailure) as raised:
            await read(session, "n", lambda: hang_up(sql))
        found, _ = await read(session, "n")

    assert raised.value.reason in {"SYSTEM_FAILED", "SYSTEM_UNREACHABLE"}
    assert found == list(range(1, 10))


async def test_a_batch_whose_connection_is_ended_is_written_again(sql, opened):
    """
    The connection kept for writing may have died since the last batch.
    """
    sql("create table t (id int primary key)")

    async with opened(guards=guards(PATIENT)) as session:
        await session.write("t", [{"id": 1}], batch_id=BatchId("flw_1", "", 1, 1))
        hang_up(sql)
        result = await session.write("t", [{"id": 2}, {"id": 3}], batch_id=BatchId("flw_1", "", 1, 2))

    assert (result.created, result.retries > 0) == (2, True)
    assert sql("select id from t order by 1").fetchall() == [(1,), (2,), (3,)]


async def test_a_batch_whose_answer_is_lost_keeps_what_became_of_it(sql, opened, monkeypatch):
    """
    It was committed, so it takes no effect again, and its refused row still goes to quarantine.
    """
    sql("create table t (id int primary key, n int not null)")
    lost = iter([True])
    write = connector.write

    async def answer_lost(*given):
        await write(*given)
        if next(lost, False):
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(connector, "write", answer_lost)
    given = [{"id": 1, "n": 1}, {"id": 2, "n": None}]

    async with opened(guards=guards(PATIENT)) as session:
        result = await session.write("t", given, batch_id=BatchId("flw_1", "", 1, 1))

    assert (result.created, result.repeated, result.retries) == (1, False, 1)
    assert [(reject.index, reject.reason) for reject in result.rejected] == [(1, "CONSTRAINT_VIOLATED")]
    assert sql("select id from t").fetchall() == [(1,)]


async def test_a_half_done_try_leaves_no_counts_behind(sql, opened, monkeypatch):
    """
    What was rolled back did not happen, and is not counted or rejected twice.
    """
    sql("create table t (id int primary key, n int not null)")
    apply = thorough._apply_by_halves
    ended = iter([True])

    async def ends_before_commit(*given):
        await apply(*given)
        if next(ended, False):
            raise psycopg.errors.AdminShutdown

    monkeypatch.setattr(thorough, "_apply_by_halves", ends_before_commit)
    given = [{"id": 1, "n": 1}, {"id": 2, "n": None}]

    async with opened(guards=guards(PATIENT)) as session:
        result = await session.write("t", given, batch_id=BatchId("flw_1", "", 1, 1))

    assert (result.created, len(result.rejected), result.repeated) == (1, 1, False)


async def test_a_server_that_is_down_for_a_moment_costs_no_failure(sql, opened):
    """
    It is back before the tries are used up.
    """
    sql("create table t (id int primary key)")
    port = int(sql("show port").fetchone()[0])

    async with TcpProxy(port) as proxy:
        clock = StandingClock()

        async def wait(seconds):
            await clock.sleep(seconds)
            if seconds:
                proxy.heal()

        patient = guards({"retry": {"strategy": "fixed", "first_wait_seconds": 7}}, clock=clock, sleep=wait)
        async with opened({"port": proxy.port}, guards=patient) as session:
            await session.streams()
            proxy.cut()
            result = await session.write("t", [{"id": 1}])

    assert (result.created, clock.waits) == (1, [7.0])


async def test_after_enough_failures_the_server_is_left_alone(opened, free_port):
    """
    Further calls fail at once and say for how long; nothing reaches the server.
    """
    clock = StandingClock()
    limits = {
        "retry": {"attempts": 2, "first_wait_seconds": 0},
        "breaker": {"failures": 2, "open_seconds": 90},
    }
    shared = guards(limits, clock=clock, sleep=clock.sleep)

    async with opened({"port": free_port}, guards=shared) as session:
        with pytest.raises(TransientFailure, match="host, port"):
            await session.streams()
        before = session.context.stats.api_calls
        with pytest.raises(TransientFailure) as raised:
            await session.streams()
        clock.now = 91
        with pytest.raises(TransientFailure, match="host, port"):
            await session.streams()

    assert (raised.value.reason, raised.value.retry_after) == ("CIRCUIT_OPEN", 90)
    assert "repeat in 90 s" in raised.value.message
    assert before == 2


async def test_pages_and_batches_keep_to_the_rate(sql, opened):
    """
    At two a second, each call beyond the first two waits half a second for its turn.
    """
    sql("create table n (id int primary key); insert into n select generate_series(1, 6)")
    clock = StandingClock()
    shared = guards({"rate": "2/s"}, clock=clock, sleep=clock.sleep)

    async with opened({"page_rows": 3}, guards=shared) as session:
        _, stats = await read(session, "n")
        await session.write("n", [{"id": 7}])

    calls = stats.api_calls + 2
    assert clock.waits == [0.0, 0.0] + [0.5] * (calls - 2)


async def test_one_place_means_one_statement_at_a_time(sql, opened, monkeypatch):
    """
    Readings, writes and look-ups of one instance share its places.
    """
    sql("create table n (id int primary key); insert into n select generate_series(1, 5)")
    under_way, most = 0, 0
    use = line.Line._use

    async def watched(self, work):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await use(self, work)
        finally:
            under_way -= 1

    monkeypatch.setattr(line.Line, "_use", watched)

    async with opened(EVERY_ROW, guards=guards({"concurrent": 1})) as session:
        await session.streams()
        done = await asyncio.gather(
            *(read(session, "n") for _ in range(3)), *(session.write("n", [{"id": n}]) for n in (6, 7))
        )

    assert [sorted(found)[:5] for found, _ in done[:3]] == [[1, 2, 3, 4, 5]] * 3
    assert most == 1


async def test_a_silent_server_is_given_up(sql, opened):
    """
    A network that swallows everything holds nobody for longer than the limits say.
    """
    sql("create table t (id int primary key)")
    limits = {"retry": {"attempts": 1}, "timeouts": {"total_seconds": 0.3}}

    async with TcpProxy(int(sql("show port").fetchone()[0])) as proxy:
        proxy.swallow()
        async with opened({"port": proxy.port}, guards=guards(limits)) as session:
            with pytest.raises(TransientFailure) as raised:
                await session.streams()

    assert raised.value.reason == "SYSTEM_TIMEOUT"


async def test_a_write_that_is_given_up_ends_at_the_server_too(sql, opened):
    """
    No statement goes on there, nothing of the batch stays, and the next one is written.
    """
    sql("create table t (id int primary key, n int); insert into t values (1, 1)")
    sql("begin")
    sql("update t set n = 2 where id = 1")
    state = "select wait_event_type, state from pg_stat_activity where application_name = 'isthmus'"

    async with opened() as session:
        writing = asyncio.create_task(session.write("t", [{"id": 1, "n": 3}]))
        while ("Lock", "active") not in sql(state).fetchall():
            await asyncio.sleep(0.01)
            sql("select pg_stat_clear_snapshot()")
        writing.cancel()
        await asyncio.wait([writing])
        sql("rollback")
        result = await session.write("t", [{"id": 1, "n": 4}])

    assert (result.updated, sql("select n from t").fetchall()) == (1, [(4,)])


@pytest.mark.parametrize(
    ("code", "repeat", "healthy"),
    [
        ("08006", True, False),
        ("53300", True, False),
        ("57P01", True, False),
        ("57P03", True, False),
        ("40001", True, None),
        ("40P01", True, None),
        ("55P03", True, None),
        ("57014", False, None),
        ("23505", False, None),
        ("42P01", False, None),
        ("XX000", False, None),
    ],
)
def test_codes_that_pass_by_themselves_are_tried_again(code, repeat, healthy):
    """
    A collision says nothing against the server, and what nobody knows is left to the next attempt.
    """
    verdict = verdict_of(psycopg.errors.lookup(code)())

    assert (verdict.repeat, verdict.healthy) == (repeat, healthy)
