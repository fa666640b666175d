"""Reading files of every form, also broken and growing ones."""

import json
import os

import pytest
from isthmus.connectors.files import Files
from isthmus.sdk import ConfigurationFailure, DataFailure, NotFound, PermissionFailure
from isthmus.sdk.runtime import ReadMode, Session


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    return tmp_path / "open"


def session(**stream):
    return Session(Files, {"streams": [{"name": "s", **stream}]})


async def read(position=None, mode=ReadMode.INCREMENTAL, **stream):
    async with session(**stream) as opened:
        return [page async for page in await opened.read("s", mode=mode, position=position)]


def records(pages):
    return [record for page in pages for record in page.records]


def rejects(pages):
    return [reject for page in pages for reject in page.rejected]


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("a.jsonl", '{"id": "1"}\n\n{"id": "2"}\r\n', {}),
        ("a.jsonl", '\ufeff{"id": "1"}\n{"id": "2"}', {}),
        ("a.json", '[{"id": "1"}, {"id": "2"}]', {}),
        ("a.json", '{"data": {"items": [{"id": "1"}, {"id": "2"}]}}', {"records_path": "data.items"}),
        ("a.csv", "id\n1\n2\n", {}),
        ("a.csv", "\ufeffid\r\n1\r\n2", {}),
        ("a.txt", "id\n1\n2\n", {"format": "csv"}),
    ],
)
async def test_every_form_gives_the_same_records(root, name, text, more):
    """
    Byte order marks, blank lines, line ends and a missing last line break do not matter.
    """
    (root / name).write_bytes(text.encode())

    assert records(await read(path=name, mode=ReadMode.FULL, **more)) == [{"id": "1"}, {"id": "2"}]


async def test_csv_knows_quotes_and_delimiters(root):
    """
    Quoted delimiters, doubled quotes and line breaks inside quotes.
    """
    (root / "a.csv").write_text('id;text\n1;"a;b"\n2;"say ""hi""\nthere"\n')

    assert records(await read(path="a.csv")) == [
        {"id": "1", "text": "a;b"},
        {"id": "2", "text": 'say "hi"\nthere'},
    ]


async def test_bad_lines_are_rejected_and_the_rest_goes_on(root):
    """
    Each reject names its line and keeps it byte for byte; nothing around it is lost.
    """
    lines = [b'{"id": 1}', b"{broken", b"[1]", b'{"n": "M\xfcller"}', b'{"a": 1, "a": 2}', b'{"id": 2}', b""]
    (root / "a.jsonl").write_bytes(b"\n".join(lines))

    pages = await read(path="a.jsonl")

    assert records(pages) == [{"id": 1}, {"id": 2}]
    assert [(reject.reason, reject.message[:6], reject.path) for reject in rejects(pages)] == [
        ("LINE_NOT_JSON", "Line 2", ""),
        ("LINE_NOT_OBJECT", "Line 3", ""),
        ("LINE_NOT_UTF8", "Line 4", "n"),
        ("LINE_DUPLICATE_KEYS", "Line 5", "a"),
    ]
    assert [reject.record for reject in rejects(pages)] == lines[1:5]


async def test_bad_rows_are_rejected_and_the_rest_goes_on(root):
    """
    A wrong number of cells, and a quote that is never closed, cost one line each.
    """
    text = b'id,n\r\n1,a\r\n2\r\n3,"d\r\ne",f\r\n4,M\xfcller\r\n5,"b\r\n6,c\r\n7,g\r\n'
    (root / "a.csv").write_bytes(text)

    pages = await read(path="a.csv")

    assert [record["id"] for record in records(pages)] == ["1", "6", "7"]
    assert [reject.message[:6] for reject in rejects(pages)] == ["Line 3", "Line 5", "Line 6", "Line 7"]
    assert [reject.record for reject in rejects(pages)] == [b"2", b'3,"d\r\ne",f', b"4,M\xfcller", b'5,"b']


async def test_growing_file_is_followed(root):
    """
    The next reading gives what was added, and a line that is still being written waits.
    """
    file = root / "audit.log"
    file.write_text('{"n": 1}\n{"n": 2}\n{"n":')
    first = await read(path="audit.log")
    with file.open("a") as more:
        more.write(" 3}\n")

    second = await read(path="audit.log", position=first[-1].position)

    assert (records(first), records(second)) == ([{"n": 1}, {"n": 2}], [{"n": 3}])
    assert rejects(first) + rejects(second) == []


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
async def test_reading_goes_on_behind_every_page(root, name):
    """
    From each position exactly the rest is read.
    """
    rows = [{"id": str(n)} for n in range(25)]
    lines = {"a.jsonl": "\n".join(map(json.dumps, rows)), "a.json": json.dumps(rows)}
    (root / name).write_text(lines.get(name, "id\n" + "".join(f"{n}\n" for n in range(25))))
    pages = await read(path=name, page_records=10, mode=ReadMode.FULL)

    rests = [records(await read(path=name, page_records=10, position=page.position)) for page in pages[:3]]

    assert rests == [rows[10:], rows[20:], []]


async def test_unchanged_document_is_not_read_again(root):
    """
    A JSON document is known by its content.
    """
    (root / "a.json").write_text('[{"id": 1}]')
    first = await read(path="a.json")
    second = await read(path="a.json", position=first[-1].position)
    (root / "a.json").write_text('[{"id": 2}]')
    third = await read(path="a.json", position=second[-1].position if second else first[-1].position)

    assert (records(second), records(third)) == ([], [{"id": 2}])


async def test_rotated_files_are_known_again(root):
    """
    A renamed file goes on where it was, the new one under its name starts at its beginning.
    """
    (root / "a.log").write_text('{"n": 1}\n')
    first = await read(path="a.log*", format="jsonl")
    with (root / "a.log").open("a") as more:
        more.write('{"n": 2}\n')
    (root / "a.log").rename(root / "a.log.1")
    (root / "a.log").write_text('{"n": 3}\n')

    second = await read(path="a.log*", format="jsonl", position=first[-1].position)

    assert sorted(record["n"] for record in records(second)) == [2, 3]


async def test_cut_file_starts_again(root):
    """
    A file that is shorter than what was read, or begins differently, is another one.
    """
    (root / "a.log").write_text('{"n": 1}\n{"n": 2}\n')
    first = await read(path="a.log")
    (root / "a.log").write_text('{"n": 3}\n')

    assert records(await read(path="a.log", position=first[-1].position)) == [{"n": 3}]


@pytest.mark.parametrize("path", ["../outside.json", "/etc/passwd", "a/../../outside.json", "~/x.json"])
def test_paths_out_of_the_folder_are_bad_settings(root, path):
    """
    Dots and absolute paths are refused before anything is opened.
    """
    with pytest.raises(ConfigurationFailure, match="path"):
        session(path=path)


async def test_links_out_of_the_folder_are_refused(root):
    """
    Neither a linked file nor a file in a linked folder can be read.
    """
    (root.parent / "secret.json").write_text('[{"id": 1}]')
    (root / "file.json").symlink_to(root.parent / "secret.json")
    (root / "folder").symlink_to(root.parent)

    for path in ("file.json", "folder/secret.json", "*.json"):
        with pytest.raises(PermissionFailure, match="out of the allowed folder"):
            await read(path=path)


async def test_links_inside_the_folder_are_followed(root):
    """
    A `current` link to the newest file is common.
    """
    (root / "2026.jsonl").write_text('{"n": 1}\n')
    (root / "current.jsonl").symlink_to(root / "2026.jsonl")

    assert records(await read(path="current.jsonl")) == [{"n": 1}]


async def test_pipes_are_refused_without_waiting(root):
    """
    What is no regular file would hang its reader.
    """
    os.mkfifo(root / "pipe.jsonl")

    with pytest.raises(PermissionFailure, match="no regular file"):
        await read(path="pipe.jsonl")


async def test_missing_file_is_named(root):
    """
    The message says which path.
    """
    with pytest.raises(NotFound, match=r"no file a\.json below"):
        await read(path="a.json")


async def test_broken_document_says_where(root):
    """
    A document has no lines to reject, so the reading fails.
    """
    (root / "a.json").write_text('[{"id": 1}, ')

    with pytest.raises(DataFailure, match=r"a\.json ends in the middle"):
        await read(path="a.json")


async def test_bad_records_of_a_document_are_rejected_and_the_rest_goes_on(root):
    """
    They count as records, so that reading goes on behind any page.
    """
    (root / "a.json").write_bytes(
        b'{"items": [{"id": 1}, {"id": "\xff"}, {"id": 3}, {"n": 1e999999}, {"id": 5}]}'
    )
    told = {"path": "a.json", "records_path": "items", "page_records": 2, "place_fields": True}

    pages = await read(**told, mode=ReadMode.FULL)
    rest = await read(**told, position=pages[0].position)

    assert [record["_line"] for record in records(pages)] == [1, 3, 5]
    assert [reject.record for reject in rejects(pages)] == [b'{"id": "\xff"}', b'{"n": 1e999999}']
    assert ([record["_line"] for record in records(rest)], len(rejects(rest))) == ([3, 5], 1)


async def test_document_that_is_one_bad_record_is_rejected_whole(root):
    """
    Nothing is taken out of it.
    """
    (root / "a.json").write_bytes(b'{"id": 1, "tags": ["\xff", "b"]}')

    pages = await read(path="a.json")

    assert records(pages) == []
    assert [(reject.record, reject.path) for reject in rejects(pages)] == [
        (b'{"id": 1, "tags": ["\xff", "b"]}', "tags.0")
    ]


async def test_long_line_is_rejected_whole(root):
    """
    Twenty megabytes without a line break cost one reject, which keeps them.
    """
    line = b'{"x": "' + b"x" * 20_000_000 + b'"}'
    (root / "a.jsonl").write_bytes(b'{"n": 1}\n' + line + b'\r\n{"n": 2}\n')

    pages = await read(path="a.jsonl")

    assert records(pages) == [{"n": 1}, {"n": 2}]
    assert [reject.reason for reject in rejects(pages)] == ["LINE_TOO_LONG"]
    assert rejects(pages)[0].record == line


async def test_line_that_nobody_can_keep_fails_the_reading(root):
    """
    Beyond what quarantine keeps, a person has to look at the file.
    """
    with (root / "a.jsonl").open("wb") as file:
        file.write(b'{"n": 1}\n')
        file.seek(70_000_000)
        file.write(b'\n{"n": 2}\n')

    with pytest.raises(DataFailure, match=r"Line 2 of a\.jsonl is longer"):
        await read(path="a.jsonl")


async def test_place_fields_give_an_identity(root):
    """
    Records without a key are told apart by file and line.
    """
    (root / "a.jsonl").write_text('{"x": 1}\n{"x": 1}\n')

    pages = await read(path="a.jsonl", place_fields=True)

    assert pages[0].keys == ["a.jsonl\u001f1", "a.jsonl\u001f2"]


async def test_without_an_allowed_folder_nothing_opens(monkeypatch):
    """
    The operator decides; there is no default.
    """
    monkeypatch.delenv("ISTHMUS_FILES_ROOT", raising=False)

    with pytest.raises(ConfigurationFailure, match="ISTHMUS_FILES_ROOT"):
        async with session(path="a.json"):
            pass


async def test_check_warns_of_a_file_that_is_not_there_yet(root):
    """
    A destination's file appears with its first record.
    """
    steps = {step.step: step async for step in session(path="out.jsonl").check()}

    assert (steps["sample"].result, steps["sample"].reason) == ("warning", "FILE_MISSING")


def some_files(root, count):
    for number in range(count):
        lines = (json.dumps({"id": f"{number}.{line}"}) for line in range(3))
        (root / f"{number}.jsonl").write_text("\n".join(lines) + "\n")


async def read_parts(opened, parts, mode=ReadMode.FULL, positions=None):
    """The ids of each part, and where each reading ended."""
    ids, ends = {}, {}
    for part in parts:
        reading = await opened.read("s", partition=part, mode=mode, position=(positions or {}).get(part))
        ids[part] = [record["id"] async for page in reading for record in page.records]
        ends[part] = reading.position
    return ids, ends


async def test_each_file_of_a_pattern_is_a_partition(root):
    """
    Together the parts hold what the whole holds, and each is in the order of its file.
    """
    some_files(root, 5)

    async with session(path="*.jsonl") as opened:
        parts = await opened.partitions("s")
        found, _ = await read_parts(opened, parts)

    assert len(parts) == 5
    assert sorted(found.values()) == [[f"{n}.{line}" for line in range(3)] for n in range(5)]


async def test_a_partition_follows_its_file_when_it_is_renamed(root):
    """
    Logs are rotated: what was read is not read again under another name, and what came is read once.
    """
    some_files(root, 2)
    async with session(path="*.jsonl") as opened:
        parts = await opened.partitions("s", mode=ReadMode.INCREMENTAL)
        _, ends = await read_parts(opened, parts, ReadMode.INCREMENTAL)

    (root / "0.jsonl").rename(root / "0.old.jsonl")
    (root / "0.jsonl").write_text('{"id": "new"}\n')
    async with session(path="*.jsonl") as opened:
        parts = await opened.partitions("s", mode=ReadMode.INCREMENTAL, known=parts)
        found, _ = await read_parts(opened, parts, ReadMode.INCREMENTAL, ends)

    assert sorted(found.values()) == [[], [], ["new"]]


@pytest.mark.parametrize(
    ("count", "known", "divided"),
    [(0, (), False), (1, (), False), (5, ("",), False), (101, (), False), (1, ("8:1",), True)],
)
async def test_files_are_read_as_one_part(root, count, known, divided):
    """
    One file, very many, or a flow that follows them as one part already; who began with parts stays there.
    """
    some_files(root, count)

    async with session(path="*.jsonl") as opened:
        parts = await opened.partitions("s", known=known)

    assert (parts != [""]) == divided
