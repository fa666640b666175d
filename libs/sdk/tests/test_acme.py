"""The connector of the README, run as written against a local server."""

import json
import sys
import types
from pathlib import Path

import pytest
from isthmus.sdk import AuthenticationFailure, ConfigurationFailure, DataFailure
from isthmus.sdk.runtime import Capability, Credential, Limits, ReadMode, RetryLimits, Session, spec_of
from isthmus.testing.http_server import Answer

TOKEN = "s3cret-token-of-acme"
PATIENCE = Limits(retry=RetryLimits(attempts=3, first_wait=0))


def _load():
    """The first Python block of the README, as a module."""
    readme = Path(__file__).parents[1] / "README.md"
    code = readme.read_text().split("```python\n", 1)[1].split("```", 1)[0]
    module = types.ModuleType("acme_of_the_readme")
    sys.modules[module.__name__] = module
    exec(compile(code, str(readme), "exec"), module.__dict__)
    return module.Acme


Acme = _load()


def incident(number, **more):
    return {
        "id": f"i{number}",
        "title": "t",
        "severity": 1,
        "updated_at": f"2026-01-{number:02}T00:00:00Z",
        **more,
    }


def bodies(server, count=3):
    """Pages of two incidents, linked by `next`."""

    def page(request):
        number = int(request.query.get("page", "1"))
        link = f"{server.url}/incidents?page={number + 1}" if number < count else None
        return {"items": [incident(2 * number - 1), incident(2 * number)], "next": link}

    server.on("/incidents", page)


@pytest.fixture
async def session(server):
    async with Session(Acme, {"url": server.url}, Credential("bearer", TOKEN), limits=PATIENCE) as opened:
        yield opened


async def read(session, stream="incidents", **how):
    return [page async for page in await session.read(stream, **how)]


def test_describes_itself():
    """
    Identity, settings form and abilities come out of the class.
    """
    spec = spec_of(Acme)

    assert (spec.connector_id, spec.description) == ("acme", "Acme ITSM.")
    assert spec.configuration_schema["properties"]["token"]["x-isthmus-secret"] is True
    assert spec.configuration_schema["required"] == ["url"]
    assert {Capability.SOURCE, Capability.DESTINATION, Capability.WEBHOOKS} <= set(spec.capabilities)
    assert [(hook.kind, hook.feeds_stream) for hook in spec.webhooks] == [("incident.changed", "incidents")]


async def test_reads_all_pages_with_the_token(server, session):
    """
    Every page is read once, with the leased token.
    """
    bodies(server)

    pages = await read(session)

    assert [key for page in pages for key in page.keys] == [f"i{n}" for n in range(1, 7)]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}
    assert len(server.requests) == 3


@pytest.mark.parametrize("stop", [0, 1, 2])
async def test_goes_on_behind_the_page_it_stopped_at(server, session, stop):
    """
    From every position exactly the rest is read.
    """
    bodies(server)
    pages = await read(session)

    rest = await read(session, mode=ReadMode.INCREMENTAL, position=pages[stop].position)

    wanted = [key for page in pages[stop + 1 :] for key in page.keys]
    assert [key for page in rest for key in page.keys][-len(wanted) or 99 :] == wanted


async def test_next_reading_starts_at_the_greatest_change(server, session):
    """
    The cursor is inclusive, so that records sharing one moment are not lost.
    """
    bodies(server)
    pages = await read(session)

    await read(session, mode=ReadMode.INCREMENTAL, position=pages[-1].position)

    assert server.requests[3].query == {"since": "2026-01-06T00:00:00Z"}


async def test_no_more_than_one_page_is_read_ahead(server, session):
    """
    While the first page is being delivered at most the second one is asked for.
    """
    bodies(server, count=50)
    reading = await session.read("incidents")
    await anext(reading)
    await anext(reading)
    await reading.aclose()

    assert len(server.requests) <= 3


async def test_refused_record_is_rejected_and_the_rest_is_written(server, session):
    """
    A 422 concerns one record, and the answer's text becomes the reason without the token.
    """
    server.on("/incidents/i1", 200, "PUT")
    server.on("/incidents/i2", Answer(422, f"severity too low for {TOKEN}"), "PUT")

    result = await session.write("follow_ups", [incident(1), incident(2), incident(3, severity=9)])

    assert [(reject.index, reject.path) for reject in result.rejected] == [(1, ""), (2, "severity")]
    assert result.rejected[0].message == "severity too low for ********"
    assert (result.updated, result.api_calls) == (1, 2)
    assert json.loads(server.requests[0].body)["title"] == "t"


async def test_webhook_becomes_a_record(session):
    """
    A push carries the record that the source yields.
    """
    body = json.dumps({"incident": incident(7)}).encode()

    received = await session.receive("incident.changed", "POST", "/", {}, body)

    assert (received.stream, received.records[0]["id"]) == ("incidents", "i7")


async def test_webhook_that_is_no_json_is_a_data_failure(session):
    """
    An unreadable body is kept for a person.
    """
    with pytest.raises(DataFailure, match="not JSON"):
        await session.receive("", "POST", "/", {}, b"\xff{")


async def test_check_names_every_step(server):
    """
    A good configuration passes all steps.
    """
    server.on("/me", {"name": "acme"})
    bodies(server)
    session = Session(Acme, {"url": server.url, "token": TOKEN})

    steps = [(step.step, step.result) async for step in session.check()]

    assert [name for name, _ in steps] == ["configuration", "reach", "authenticate", "permit", "sample"]
    assert {result for _, result in steps} == {"passed"}


@pytest.mark.parametrize(
    ("status", "step", "reason"),
    [
        (401, "authenticate", "AUTHENTICATION_FAILED"),
        (403, "permit", "PERMISSION_MISSING_AT_SYSTEM"),
        (404, "reach", "NOT_FOUND_AT_SYSTEM"),
        (500, "reach", "SYSTEM_FAILED"),
    ],
)
async def test_check_fails_at_the_right_step(server, status, step, reason):
    """
    What the system answers decides the step, and the steps behind it are skipped.
    """
    server.on("/me", Answer(status, f"your token {TOKEN} is bad"))
    session = Session(Acme, {"url": server.url, "token": TOKEN}, limits=PATIENCE)

    steps = [found async for found in session.check()]

    failed = next(found for found in steps if found.result == "failed")
    assert (failed.step, failed.reason) == (step, reason)
    assert failed.remedy
    assert TOKEN not in str(steps)


async def test_bad_configuration_names_the_field_and_not_the_value():
    """
    Violations carry paths; the input stays out of them.
    """
    with pytest.raises(ConfigurationFailure) as failure:
        Session(Acme, {"url": "not a url", "token": {"wrong": TOKEN}})

    assert {violation.path for violation in failure.value.violations} == {"url", "token"}
    assert TOKEN not in repr(failure.value.violations) + str(failure.value)


async def test_expired_token_stops_the_reading(server, session):
    """
    401 in mid-stream is a typed failure, and pages before it stay good.
    """
    server.in_turn("/incidents", {"items": [incident(1)], "next": f"{server.url}/incidents?page=2"}, 401)
    reading = await session.read("incidents")

    first = await anext(reading)
    with pytest.raises(AuthenticationFailure, match="renew"):
        await anext(reading)

    assert first.keys == ["i1"]
