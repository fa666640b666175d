"""An instance's limits on a file system that fails, fills up, or does not answer."""

import asyncio
import errno
import json
import os
import threading
from itertools import count

import pytest
from isthmus.connectors.files import Files
from isthmus.sdk import BatchId, PermissionFailure, TransientFailure
from isthmus.sdk.runtime import Guards, Limits, ReadMode, Session
from isthmus.testing.clock import StandingClock

PATIENT = {"retry": {"strategy": "fixed", "first_wait_seconds": 0}}
SHORT = Limits.of({"retry": {"attempts": 1}, "timeouts": {"total_seconds": 0.1}})
BATCH = BatchId("flw_1", "", 1, 1)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(tmp_path))
    return tmp_path


def session(document=PATIENT, clock=None, **stream):
    told = {"name": "s", "path": "s.jsonl", "key": ["id"], "page_records": 2, **stream}
    more = {"clock": clock, "sleep": clock.sleep} if clock else {}
    return Session(Files, {"streams": [told]}, guards=Guards(Limits.of(document), **more))


def lines(root):
    return [json.loads(line) for line in (root / "s.jsonl").read_text().splitlines()]


async def read(opened):
    reading = await opened.read("s", mode=ReadMode.FULL)
    return [record["id"] async for page in reading for record in page.records], reading.stats


def failing(monkeypatch, name, code, *, times):
    """Lets the calls of these numbers fail, counted from 1."""
    real, calls = getattr(os, name), count(1)

    def call(*given, **more):
        if next(calls) in times:
            raise OSError(code, os.strerror(code))
        return real(*given, **more)

    monkeypatch.setattr(os, name, call)


class Stuck:
    """A call of the operating system that does not return before it is let go."""

    def __init__(self, monkeypatch, name):
        self.reached, self.let_go = threading.Event(), threading.Event()
        real = getattr(os, name)

        def call(*given, **more):
            self.reached.set()
            self.let_go.wait(60)
            return real(*given, **more)

        monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("name", ["s.jsonl", "s.csv", "s.json"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
async def test_a_reading_goes_on_behind_the_last_page(root, monkeypatch, name, code):
    """
    The file is opened anew, and no record is lost or comes twice.
    """
    records = [{"id": str(number)} for number in range(9)]
    texts = {
        "s.jsonl": "".join(f"{json.dumps(record)}\n" for record in records),
        "s.csv": "id\n" + "".join(f"{record['id']}\n" for record in records),
        "s.json": json.dumps(records),
    }
    (root / name).write_text(texts[name])
    failing(monkeypatch, "pread", code, times={1, 3, 5, 6})

    async with session(path=name) as opened:
        found, stats = await read(opened)

    assert found == [record["id"] for record in records]
    assert stats.retries > 0


async def test_a_file_that_cannot_be_opened_for_a_moment_is_no_missing_right(root, monkeypatch):
    """
    A stale handle passes by itself; only a refusal needs a person.
    """
    (root / "s.jsonl").write_text('{"id": 1}\n')

    async with session() as opened:
        failing(monkeypatch, "open", errno.ESTALE, times={1, 2})
        found, stats = await read(opened)
        failing(monkeypatch, "open", errno.EACCES, times={2})
        with pytest.raises(PermissionFailure):
            await read(opened)

    assert (found, stats.retries) == ([1], 2)


async def test_a_batch_is_written_again_after_a_failure(root, monkeypatch):
    """
    What the failed try did is undone first; counts are those of the one that held.
    """
    failing(monkeypatch, "fsync", errno.EIO, times={1})

    async with session() as opened:
        result = await opened.write("s", [{"id": 1}, {"id": 2}], batch_id=BATCH)

    assert (result.created, result.repeated, result.retries) == (2, False, 1)
    assert lines(root) == [{"id": 1}, {"id": 2}]


async def test_without_a_position_a_batch_is_tried_once(root, monkeypatch):
    """
    Nothing would tell that its records are there already.
    """
    failing(monkeypatch, "fsync", errno.EIO, times={1})

    async with session(key=[]) as opened:
        with pytest.raises(TransientFailure, match="EIO"):
            await opened.write("s", [{"id": 1}])


async def test_a_full_disk_is_not_asked_again(root, monkeypatch):
    """
    Somebody has to make room first; the batch comes again with the next attempt.
    """
    failing(monkeypatch, "write", errno.ENOSPC, times={1})

    async with session() as opened:
        with pytest.raises(TransientFailure) as raised:
            await opened.write("s", [{"id": 1}], batch_id=BATCH)
        result = await opened.write("s", [{"id": 1}], batch_id=BATCH)

    assert raised.value.reason == "FILE_SYSTEM_FULL"
    assert (result.created, result.repeated) == (1, False)


async def test_a_disk_that_hangs_holds_no_reader(root, monkeypatch):
    """
    The reading fails in time, and another works once the disk is back.
    """
    (root / "s.jsonl").write_text('{"id": 1}\n')

    async with session() as opened:
        patient = opened.context.limits
        with monkeypatch.context() as disk:
            stuck = Stuck(disk, "pread")
            opened.context.limits = SHORT
            with pytest.raises(TransientFailure) as raised:
                await read(opened)
            stuck.let_go.set()
        opened.context.limits = patient
        found, _ = await read(opened)

    assert raised.value.reason == "SYSTEM_TIMEOUT"
    assert found == [1]


async def test_a_batch_that_was_given_up_and_got_through_is_not_written_twice(root, monkeypatch):
    """
    The thread goes on after the time is over; whoever repeats the batch waits for it and finds it done.
    """
    async with session() as opened:
        patient = opened.context.limits
        with monkeypatch.context() as disk:
            stuck = Stuck(disk, "fsync")
            opened.context.limits = SHORT
            with pytest.raises(TransientFailure, match="took longer"):
                await opened.write("s", [{"id": 1}], batch_id=BATCH)
            opened.context.limits = patient
            again = asyncio.create_task(opened.write("s", [{"id": 1}], batch_id=BATCH))
            await asyncio.sleep(0)
            stuck.let_go.set()
            result = await again

    assert result.repeated
    assert lines(root) == [{"id": 1}]


async def test_after_enough_failures_the_file_system_is_left_alone(root, monkeypatch):
    """
    Nothing is opened any more until it is tried again.
    """
    (root / "s.jsonl").write_text('{"id": 1}\n')
    clock = StandingClock()
    limits = {"retry": {"attempts": 2, "first_wait_seconds": 0}, "breaker": {"failures": 2}}

    async with session(limits, clock) as opened:
        failing(monkeypatch, "pread", errno.EIO, times={1, 2})
        reasons = []
        for _ in range(2):
            with pytest.raises(TransientFailure) as raised:
                await read(opened)
            reasons.append(raised.value.reason)
        clock.now += 60
        found, _ = await read(opened)

    assert reasons == ["FILE_SYSTEM_FAILED", "CIRCUIT_OPEN"]
    assert found == [1]


async def test_pages_and_batches_keep_to_the_rate(root):
    """
    Two turns come at once, each further one half a second later.
    """
    (root / "s.jsonl").write_text("".join(f'{{"id": {number}}}\n' for number in range(6)))
    clock = StandingClock()

    async with session({"rate": "2/s"}, clock) as opened:
        _, stats = await read(opened)
        await opened.write("s", [{"id": 7}], batch_id=BATCH)
        calls = stats.api_calls + opened.context.stats.api_calls + 1

    assert clock.waits == [0.0, 0.0] + [0.5] * (calls - 2)


async def test_one_place_means_one_operation_at_a_time(root, monkeypatch):
    """
    While one reading is inside, another waits for the place.
    """
    (root / "s.jsonl").write_text('{"id": 1}\n')

    async with session({"concurrent": 1}) as opened:
        with monkeypatch.context() as disk:
            stuck = Stuck(disk, "pread")
            first = asyncio.create_task(read(opened))
            await asyncio.to_thread(stuck.reached.wait, 60)
            second = asyncio.create_task(read(opened))
            bulkhead = opened.context.guards.bulkhead
            while not bulkhead.waiting:
                await asyncio.sleep(0)
            stuck.let_go.set()
            found = [(await task)[0] for task in (first, second)]

    assert found == [[1], [1]]
