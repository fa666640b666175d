"""The real catalogues of two dates, and damaged ones."""

import json

import pytest
from isthmus.connectors.cisa_kev import CisaKev
from isthmus.sdk import DataFailure
from isthmus.sdk.runtime import ReadMode, Session
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.shared import shared


@pytest.fixture
def kev():
    return shared("data", "kev")


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running


def serve(server, raw, etag):
    """Serves a catalogue the way the public feed does."""
    server.on(
        "/kev.json",
        lambda r: 304 if r.headers.get("if-none-match") == etag else Answer(body=raw, headers={"etag": etag}),
    )


async def read(server, position=None):
    async with Session(CisaKev, {"url": f"{server.url}/kev.json"}) as session:
        reading = await session.read("vulnerabilities", mode=ReadMode.INCREMENTAL, position=position)
        return [page async for page in reading], reading.stats


def records(pages):
    return [record for page in pages for record in page.records]


@pytest.mark.parametrize(("name", "count"), [("kev-2025-01-24", 1252), ("kev-2025-08-25", 1404)])
async def test_real_catalogue_arrives_whole(server, kev, name, count):
    """
    Every entry comes as it stands in the file, under its CVE id.
    """
    raw = (kev / f"{name}.json").read_bytes()
    serve(server, raw, '"a"')

    pages, _ = await read(server)

    assert len(records(pages)) == count
    assert records(pages) == json.loads(raw)["vulnerabilities"]
    assert [key for page in pages for key in page.keys] == [v["cveID"] for v in records(pages)]
    assert not any(page.rejected for page in pages)


async def test_unchanged_catalogue_costs_one_request_and_no_record(server, kev):
    """
    The entity tag of the last complete reading is sent.
    """
    serve(server, (kev / "kev-2025-01-24.json").read_bytes(), '"a"')
    first, _ = await read(server)

    second, stats = await read(server, first[-1].position)

    assert (records(second), stats.not_modified, stats.api_calls) == ([], True, 1)


async def test_entries_that_cannot_be_read_are_put_aside(server, kev):
    """
    They count as entries of the catalogue, and are kept as they came.
    """
    raw = (kev / "kev-2025-01-24.json").read_bytes()
    start = raw.index(b"{", raw.index(b'"vulnerabilities"'))
    entry = raw[start : raw.index(b"}", start) + 1]
    bad = entry.replace(b'"cveID"', b'"cveID": "CVE-2000-0001", "cveID"')
    serve(server, raw.replace(entry, bad), '"a"')

    pages, _ = await read(server)

    assert len(records(pages)) == 1251
    assert [one.record for page in pages for one in page.rejected] == [bad]


CATALOGUE = {"catalogVersion": "2026.01.01", "dateReleased": "2026-01-01T00:00:00Z", "count": 1}
ENTRY = {
    "cveID": "CVE-2026-0001",
    "vendorProject": "v",
    "product": "p",
    "vulnerabilityName": "n",
    "dateAdded": "2026-01-01",
    "shortDescription": "s",
    "requiredAction": "r",
    "dueDate": "2026-02-01",
}


async def test_mirror_without_entity_tags_is_known_by_its_edition(server):
    """
    The same edition is not given twice.
    """
    server.on("/kev.json", {**CATALOGUE, "vulnerabilities": [ENTRY]})
    first, _ = await read(server)
    second, stats = await read(server, first[-1].position)

    assert (len(records(first)), len(records(second)), stats.not_modified) == (1, 0, True)


async def test_interrupted_reading_reads_the_catalogue_again(server):
    """
    The entity tag counts only once everything was given.
    """
    entries = [{**ENTRY, "cveID": f"CVE-2026-{n:04}"} for n in range(1200)]
    serve(server, json.dumps({**CATALOGUE, "count": 1200, "vulnerabilities": entries}), '"a"')
    first, _ = await read(server)
    second, _ = await read(server, first[0].position)

    assert len(records(second)) == 1200


async def test_bad_entry_is_rejected_alone(server):
    """
    An entry without a proper id goes to quarantine, the others go on.
    """
    bad = {**ENTRY, "cveID": "2026-1"}
    server.on("/kev.json", {**CATALOGUE, "count": 2, "vulnerabilities": [bad, ENTRY]})

    pages, _ = await read(server)

    assert [record["cveID"] for record in records(pages)] == ["CVE-2026-0001"]
    assert [(reject.path, reject.record) for reject in pages[0].rejected] == [("cveID", bad)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({**CATALOGUE, "count": 2, "vulnerabilities": [ENTRY]}, "CATALOGUE_INCOMPLETE"),
        ({"vulnerabilities": []}, "CATALOGUE_INVALID"),
        ([1], "CATALOGUE_INVALID"),
        ("<!doctype html><html>down for maintenance</html>", "ANSWER_IS_HTML"),
    ],
)
async def test_what_is_no_catalogue_is_refused(server, body, reason):
    """
    A truncated catalogue must not pass for one with fewer entries.
    """
    server.on("/kev.json", Answer(body=body))

    with pytest.raises(DataFailure) as raised:
        await read(server)

    assert raised.value.reason == reason
