"""Writing files: repeated, changed, removed, and killed at any instant."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from isthmus.connectors.files import Files
from isthmus.sdk import Fenced
from isthmus.sdk.runtime import BatchId, Operation, Session, WriteMode


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(tmp_path))
    return tmp_path


def session(**stream):
    told = {"name": "out", "path": "out.jsonl", "key": ["id"], **stream}
    return Session(Files, {"streams": [told]})


async def write(records, **how):
    stream = how.pop("stream", {})
    async with session(**stream) as opened:
        return await opened.write("out", records, **how)


def lines(root, name="out.jsonl"):
    return [json.loads(line) for line in (root / name).read_text().splitlines()]


def batch(token, sequence):
    return BatchId("flw_1", "", token, sequence)


async def test_same_record_is_written_once(root):
    """
    New, changed and equal records are counted apart, and the file has one line for each key.
    """
    first = await write([{"id": 1, "v": 1}, {"id": 2, "v": 1}])
    second = await write([{"id": 1, "v": 1}, {"id": 2, "v": 2}, {"id": 3, "v": 1}])

    assert (first.created, second.created, second.updated, second.unchanged) == (2, 1, 1, 1)
    assert lines(root) == [{"id": 1, "v": 1}, {"id": 2, "v": 2}, {"id": 3, "v": 1}]


async def test_repeated_batch_has_no_effect(root):
    """
    The same fencing token and sequence are acknowledged and not applied.
    """
    await write([{"id": 1}], batch_id=batch(1, 1))
    result = await write([{"id": 1, "other": True}], batch_id=batch(1, 1))

    assert result.repeated
    assert lines(root) == [{"id": 1}]


async def test_older_attempt_is_refused(root):
    """
    A zombie may not write after its successor.
    """
    await write([{"id": 1}], batch_id=batch(2, 1))

    with pytest.raises(Fenced):
        await write([{"id": 2}], batch_id=batch(1, 7))
    assert lines(root) == [{"id": 1}]


async def test_newer_attempt_writes_nothing_twice(root):
    """
    The same records under a new token are recognised by key and content.
    """
    await write([{"id": 1}], batch_id=batch(1, 1))
    result = await write([{"id": 1}], batch_id=batch(2, 1))

    assert (result.unchanged, result.repeated) == (1, False)
    assert lines(root) == [{"id": 1}]


async def test_records_are_removed_and_patched(root):
    """
    A deletion takes the line away; a patch keeps the fields that it does not carry.
    """
    await write([{"id": 1, "a": 1, "b": 1}, {"id": 2}])
    result = await write(
        [{"id": 1, "b": 2}, {"id": 2}], operations=[Operation.PATCH, Operation.DELETE], keys=["1", "2"]
    )

    assert lines(root) == [{"id": 1, "a": 1, "b": 2}]
    assert (result.updated, result.deleted) == (1, 1)


async def test_csv_grows_columns(root):
    """
    A new field becomes a new column, and rows before it have it empty.
    """
    stream = {"path": "out.csv"}
    await write([{"id": 1, "a": "x,y"}], stream=stream)
    await write([{"id": 2, "b": [1, True]}], stream=stream)

    assert (root / "out.csv").read_text() == 'id,a,b\n1,"x,y",\n2,,"[1,true]"\n'


async def test_json_file_is_one_array(root):
    """
    After every batch the document is whole.
    """
    stream = {"path": "deep/out.json"}
    for number in range(3):
        await write([{"id": number}], stream=stream)

    assert json.loads((root / "deep/out.json").read_text()) == [{"id": 0}, {"id": 1}, {"id": 2}]


@pytest.mark.parametrize("trace", [b'{"id": 9', b'{"id": 9}\n{"id"'])
async def test_traces_of_a_crash_are_cut(root, trace):
    """
    What stands behind the committed length did not happen.
    """
    await write([{"id": 1}])
    with (root / "out.jsonl").open("ab") as file:
        file.write(trace)
    await write([{"id": 2}])

    assert lines(root) == [{"id": 1}, {"id": 2}]


async def test_lost_file_is_built_again(root):
    """
    The database beside the file knows what belongs into it.
    """
    await write([{"id": 1}])
    (root / "out.jsonl").unlink()
    await write([{"id": 2}])

    assert lines(root) == [{"id": 1}, {"id": 2}]


async def test_file_may_not_be_a_link_out_of_the_folder(root, tmp_path_factory):
    """
    Writing follows the same rules as reading.
    """
    outside = tmp_path_factory.mktemp("outside")
    (root / "deep").symlink_to(outside)

    with pytest.raises(Exception, match="out of the allowed folder"):
        await write([{"id": 1}], stream={"path": "deep/out.jsonl"})
    assert list(outside.iterdir()) == []


WRITER = """
import asyncio, sys
from isthmus.connectors.files import Files
from isthmus.sdk.runtime import BatchId, Session

async def main(token, start, changing):
    async with Session(Files, {"streams": [{"name": "out", "path": "out.jsonl", "key": ["id"]}]}) as session:
        for sequence in range(1, 41):
            first = start + (sequence - 1) * 10
            records = [{"id": n, "text": "x" * 200} for n in range(first, first + 10)]
            if changing:
                records.append({"id": 0, "text": str(first)})
            await session.write("out", records, batch_id=BatchId("f", "", token, sequence))
            print(sequence, flush=True)

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "changing"))
"""


@pytest.mark.parametrize("kind", ["adding", "changing"])
async def test_killed_writer_loses_and_doubles_nothing(root, kind):
    """
    Killed again and again at odd moments, each attempt going on from the last acknowledged batch.
    """
    acknowledged = 0
    for token in range(1, 8):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(token), str(acknowledged * 10), kind,
            env={**os.environ, "ISTHMUS_FILES_ROOT": str(root)}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        seen = 0
        while seen < 5 and await process.stdout.readline():
            seen += 1
        await asyncio.sleep(0.0007 * token)
        process.send_signal(signal.SIGKILL)
        rest = await process.stdout.read()
        await process.wait()
        acknowledged += seen + len(rest.split())
    await write([{"id": -1}])

    ids = [line["id"] for line in lines(root)]
    assert len(ids) == len(set(ids))
    assert set(range(1, acknowledged * 10)) <= set(ids)
    assert max(ids) < (acknowledged + 1) * 10


async def test_ten_thousand_records_in_pages(root):
    """
    Many batches append; the file is never written anew.
    """
    async with session() as opened:
        await opened.write("out", [{"id": -1}])
        inode = (Path(root) / "out.jsonl").stat().st_ino
        for start in range(0, 10_000, 1000):
            await opened.write("out", [{"id": n} for n in range(start, start + 1000)], mode=WriteMode.UPSERT)

    assert (root / "out.jsonl").stat().st_ino == inode
    assert len(lines(root)) == 10_001
