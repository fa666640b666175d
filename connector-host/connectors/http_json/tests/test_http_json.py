"""Described interfaces against a local server."""

from datetime import UTC, datetime

import pytest
from isthmus.connectors.http_json import HttpJson
from isthmus.sdk import (
    Between,
    ConfigurationFailure,
    Credential,
    DataFailure,
    PermissionFailure,
    TransientFailure,
)
from isthmus.sdk.runtime import (
    Guarantee,
    Limits,
    Operation,
    ReadMode,
    RetryLimits,
    Session,
    WriteMode,
)
from isthmus.testing.http_server import Answer, HttpServer

PATIENCE = Limits(retry=RetryLimits(attempts=2, first_wait=0))


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running


def session(server, stream, credential=None, **more):
    told = {"base_url": server.url, "streams": [{"name": "items", **stream}], **more}
    return Session(HttpJson, told, credential, limits=PATIENCE)


async def read(server, stream, position=None, mode=ReadMode.FULL, **more):
    async with session(server, stream, **more) as opened:
        return [page async for page in await opened.read("items", mode=mode, position=position)]


def records(pages):
    return [record for page in pages for record in page.records]


@pytest.mark.parametrize(
    ("stream", "body", "wanted"),
    [
        ({}, [{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 2}]),
        ({"records_path": "data.items"}, {"data": {"items": [{"id": 1}]}}, [{"id": 1}]),
        ({"shape": "object"}, {"id": 1, "b": [2]}, [{"id": 1, "b": [2]}]),
        ({"shape": "map"}, {"a": {"id": 1}, "b": 5}, [{"id": 1, "_name": "a"}, {"value": 5, "_name": "b"}]),
        ({}, ["x"], [{"value": "x"}]),
        ({"records_path": "items", "records_optional": True}, {}, []),
        ({"records_path": "items"}, {"items": None}, []),
    ],
)
async def test_records_are_found_in_every_shape(server, stream, body, wanted):
    """
    Lists, single objects and objects of records become records.
    """
    server.on("/items", body)

    assert records(await read(server, {"path": "/items", **stream})) == wanted


@pytest.mark.parametrize(
    ("stream", "body", "wanted", "aside"),
    [
        ({}, b'[{"id": 1}, {"id": 1e999999}]', [{"id": 1}], b'{"id": 1e999999}'),
        ({"records_path": "d.i"}, b'{"d": {"i": [{"id": "\xff"}]}, "n": [1]}', [], b'{"id": "\xff"}'),
        ({"shape": "object"}, b'{"id": "\\ud800"}', [], b'{"id": "\\ud800"}'),
        (
            {"shape": "map"},
            b'{"a": {"n": 1, "n": 2}, "b": 5}',
            [{"value": 5, "_name": "b"}],
            b'{"n": 1, "n": 2}',
        ),
    ],
)
async def test_records_that_cannot_be_read_are_put_aside(server, stream, body, wanted, aside):
    """
    In every shape they are kept as they came, and the others of the page arrive.
    """
    server.on("/items", lambda request: Answer(body=body))

    pages = await read(server, {"path": "/items", **stream})

    assert records(pages) == wanted
    assert [one.record for page in pages for one in page.rejected] == [aside]


@pytest.mark.parametrize(
    ("stream", "body", "words"),
    [
        ({"records_path": "item"}, {"items": []}, "nothing at item; it has items"),
        ({}, {"items": []}, "is an object, not a list"),
        ({"shape": "object"}, [1], "is a list, not an object"),
    ],
)
async def test_wrong_shape_says_what_is_there(server, stream, body, words):
    """
    The message names stream, path and what was found.
    """
    server.on("/items", body)

    with pytest.raises(DataFailure, match=words):
        await read(server, {"path": "/items", **stream})


async def test_unchanged_answer_is_not_read_again(server):
    """
    The entity tag of the last complete reading is sent; 304 gives no record and says so.
    """
    server.on(
        "/items",
        lambda r: 304 if "if-none-match" in r.headers else Answer(body=[{"id": 1}], headers={"etag": '"1"'}),
    )
    first = await read(server, {"path": "/items"})
    async with session(server, {"path": "/items"}) as opened:
        reading = await opened.read("items", mode=ReadMode.INCREMENTAL, position=first[-1].position)
        second = [page async for page in reading]

    assert (records(second), reading.stats.not_modified) == ([], True)


async def test_cursor_and_paging_work_together(server):
    """
    The start value goes out first, the greatest value seen the next time, with every page.
    """
    stream = {
        "path": "/items",
        "key": ["id"],
        "cursor": {"field": "at", "param": "from", "start": "2020-01-01"},
        "paging": {"kind": "page"},
    }
    server.in_turn("/items", [{"id": 1, "at": "2026-01-02"}], [{"id": 2, "at": "2026-01-01"}], [])

    pages = await read(server, stream, mode=ReadMode.INCREMENTAL)
    await read(server, stream, mode=ReadMode.INCREMENTAL, position=pages[-1].position)

    froms = [request.query["from"] for request in server.requests]
    assert froms == ["2020-01-01"] * 3 + ["2026-01-02"]


async def test_removed_records_are_deletions(server):
    """
    What a delta marks as removed is deleted at the destination.
    """
    server.on(
        "/items", {"value": [{"id": 1}, {"id": 2, "@removed": {}}], "@odata.deltaLink": f"{server.url}/d"}
    )
    stream = {"path": "/items", "key": ["id"], "records_path": "value", "paging": {"kind": "delta"}}

    page = (await read(server, stream, mode=ReadMode.DELTA))[0]

    assert page.operations == [Operation.UPSERT, Operation.DELETE]


async def test_credential_headers_and_posted_search(server):
    """
    A search by POST carries its body, the headers and the leased key.
    """
    server.on("/items", {"hits": [{"id": 1}]}, "POST")
    stream = {"path": "/items", "method": "POST", "body": {"q": "x"}, "records_path": "hits"}
    credential = Credential("api_key", "k3y-of-acme", header="X-Key")

    async with session(server, stream, credential, headers={"X-A": "b"}) as opened:
        _ = [page async for page in await opened.read("items")]

    request = server.requests[0]
    assert (request.json, request.headers["x-a"], request.headers["x-key"]) == (
        {"q": "x"},
        "b",
        "k3y-of-acme",
    )


WRITE = {"key": ["id"], "write": {"method": "PUT", "path": "/items/{id}", "delete_path": "/items/{id}"}}


async def test_records_are_put_one_by_one(server):
    """
    The path takes the record's fields, quoted; refused ones are rejected with the answer's words.
    """
    server.on("/items/a%2Fb", 201, "PUT")
    server.on("/items/2", Answer(422, '{"error": "title missing"}'), "PUT")

    async with session(server, WRITE) as opened:
        result = await opened.write("items", [{"id": "a/b"}, {"id": 2}, {"no": 1}])

    assert [(reject.index, reject.reason) for reject in result.rejected] == [
        (1, "REJECTED_BY_SYSTEM"),
        (2, "FIELD_MISSING"),
    ]
    assert "title missing" in result.rejected[0].message
    assert result.updated == 1


async def test_deletions_are_deleted_and_gone_is_fine(server):
    """
    What is not there any more counts as deleted.
    """
    server.on("/items/1", 204, "DELETE")

    async with session(server, WRITE) as opened:
        result = await opened.write(
            "items", [{"id": 1}, {"id": 2}], operations=[Operation.DELETE, Operation.DELETE]
        )

    assert (result.deleted, result.rejected) == (2, [])


@pytest.mark.parametrize(("status", "failure"), [(403, PermissionFailure), (503, TransientFailure)])
async def test_failures_that_concern_no_record_acknowledge_nothing(server, status, failure):
    """
    The whole batch comes again.
    """
    server.on("/items/1", status, "PUT")

    async with session(server, WRITE) as opened:
        with pytest.raises(failure):
            await opened.write("items", [{"id": 1}])


async def test_refused_array_is_halved_until_the_bad_record_stands_alone(server):
    """
    Seven of eight are written though the system refuses whole arrays.
    """
    written = []

    def take(request):
        batch = request.json["items"]
        if any(record["id"] == 5 for record in batch):
            return Answer(400, "id 5 is taken")
        written.extend(record["id"] for record in batch)
        return 202

    server.on("/bulk", take, "POST")
    write = {"path": "/bulk", "batch": True, "wrap": "items", "idempotency_header": "Idempotency-Key"}
    async with session(server, {"write": write}) as opened:
        result = await opened.write("items", [{"id": n} for n in range(8)], mode=WriteMode.CREATE)
        streams = await opened.streams()

    assert sorted(written) == [0, 1, 2, 3, 4, 6, 7]
    assert [reject.index for reject in result.rejected] == [5]
    assert streams[0].guarantee is Guarantee.IDEMPOTENT


async def test_update_without_ids_is_refused(server):
    """
    Settings that cannot work are named before anything is written.
    """
    write = {"path": "/items", "update": {"path": "/items/{external_id}"}}

    with pytest.raises(ConfigurationFailure) as caught:
        session(server, {"write": write})

    assert "id_field or lookup" in str([one.message for one in caught.value.violations])


@pytest.mark.parametrize(
    ("write", "guarantee"),
    [
        ({}, Guarantee.AT_LEAST_ONCE),
        ({"id_field": "id"}, Guarantee.AT_LEAST_ONCE),
        ({"lookup": {"path": "/items"}}, Guarantee.IDEMPOTENT),
        ({"method": "PUT"}, Guarantee.IDEMPOTENT),
    ],
    ids=["bare", "ids", "lookup", "put"],
)
async def test_stream_says_what_it_promises(server, write, guarantee):
    """
    Where a record can be looked for it is written once.
    """
    async with session(server, {"write": {"path": "/items", **write}}) as opened:
        [stream] = await opened.streams()

    assert stream.guarantee is guarantee


async def test_repeated_write_carries_the_same_key(server):
    """
    The system can recognise what it has seen.
    """
    server.on("/items", 201, "POST")
    write = {"path": "/items", "idempotency_header": "Idempotency-Key"}
    async with session(server, {"write": write}) as opened:
        await opened.write("items", [{"id": 1}])
        await opened.write("items", [{"id": 1}])

    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(keys) == 1


async def test_check_finds_the_stream_that_does_not_answer(server):
    """
    A good base address with a wrong path fails, with the path in the message.
    """
    steps = [step async for step in session(server, {"path": "/nowhere"}).check()]

    failed = [step for step in steps if step.result == "failed"]
    assert len(failed) == 1
    assert "/nowhere" in failed[0].message


@pytest.mark.parametrize(("status", "result"), [(404, "passed"), (401, "failed")])
async def test_check_of_a_destination_asks_whether_the_host_runs(server, status, result):
    """
    With nothing to read, any answer but a refused credential will do.
    """
    server.on("/", status, "HEAD")

    steps = {step.step: step.result async for step in session(server, WRITE).check()}

    assert steps["authenticate"] == result


async def test_check_of_a_destination_finds_a_dead_host():
    """
    Nobody listens: the step is reach.
    """
    told = {"base_url": "http://127.0.0.1:9", "streams": [{"name": "items", **WRITE}]}

    steps = {step.step: step.result async for step in Session(HttpJson, told, limits=PATIENCE).check()}

    assert steps["reach"] == "failed"


@pytest.mark.parametrize("path", ["/issues", "/projects/{project}/issues"])
async def test_declared_values_divide_a_stream(server, path):
    """
    Each value is asked for by itself, in the query or in the path, and may be told in the records.
    """
    for project in ("a", "b c"):
        at = path.replace("{project}", project).replace(" ", "%20")
        server.on(at, lambda request, project=project: [{"id": f"{request.query.get('project', project)}1"}])
    parts = {"param": "project", "values": ["a", "b c"], "into": "project", "at_a_time": 1}
    told = {"path": path, "key": ["id", "project"], "partitions": parts}

    async with session(server, told) as opened:
        [stream] = await opened.streams()
        found = {}
        for part in await opened.partitions("items"):
            found[part] = records([page async for page in await opened.read("items", partition=part)])

    assert stream.most_side_by_side == 1
    assert found == {"a": [{"id": "a1", "project": "a"}], "b c": [{"id": "b c1", "project": "b c"}]}


@pytest.mark.parametrize(
    ("form", "first", "end"),
    [
        ("iso", "2026-01-05T00:00:00Z", "2026-01-09T12:00:00.250000Z"),
        ("date", "2026-01-05", "2026-01-10"),
        ("epoch", "1767571200", "1767960001"),
        ("epoch_ms", "1767571200000", "1767960000250"),
    ],
)
async def test_a_span_of_time_is_asked_for(server, form, first, end):
    """
    The parameters ask for all of the span, on every page, and the cursor has no part in it.
    """
    server.on("/items", [{"id": 1, "at": "2026-01-06"}])
    stream = {
        "path": "/items",
        "cursor": {"field": "at", "param": "since", "start": "2020-01-01"},
        "range": {"field": "at", "from_param": "from", "until_param": "to", "format": form},
    }
    span = Between(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 9, 12, 0, 0, 250_000, tzinfo=UTC))

    async with session(server, stream) as opened:
        described = await opened.stream("items")
        _ = [page async for page in await opened.read("items", mode=ReadMode.FULL, between=span)]

    asked = server.requests[-1].query
    assert asked == {"from": first, "to": end}
    assert (described.range_field, described.asks_for_range) == ("at", True)
