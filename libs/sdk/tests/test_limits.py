"""An instance's own limits, from their document to what the system sees."""

import asyncio
import time
from datetime import timedelta

import pytest
from isthmus.resilience import LIMITS_SCHEMA
from isthmus.sdk import Api, ConfigurationFailure, Connector, RateLimit, TransientFailure
from isthmus.sdk.context import Context
from isthmus.sdk.runtime import Guards, Limits, Session
from isthmus.testing.http_server import Answer
from pydantic import BaseModel

PATIENT = {"attempts": 4, "first_wait_seconds": 0}


def client(server, document, guards=None):
    limits = Limits.of(document)
    with Context(limits=limits, shared=guards).active():
        return Api(server.url)


def leaves(schema, values, path=""):
    """Each member of the schema with its default and the value that the limits have."""
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            yield from leaves(rule, getattr(values, name, values), f"{path}{name}.")
        elif "default" in rule:
            field = name if hasattr(values, name) else name.removesuffix("_seconds")
            yield f"{path}{name}", rule["default"], getattr(values, field)


def test_published_defaults_are_the_real_ones():
    """
    The schema tells no other numbers than those that hold.
    """
    told = list(leaves(LIMITS_SCHEMA, Limits()))

    assert len(told) == 15
    assert [(path, default) for path, default, _ in told] == [(path, held) for path, _, held in told]
    assert Limits.of({}) == Limits()


def test_overrides_leave_the_rest_alone():
    """
    One number changes, its neighbours keep their defaults.
    """
    limits = Limits.of({"retry": {"attempts": 2.0}, "timeouts": {"total_seconds": 7}, "rate": "5/s"})

    assert (limits.retry.attempts, limits.retry.total, limits.total_seconds) == (2, 300.0, 7)
    assert (limits.rate, limits.breaker, limits.concurrent) == ("5/s", Limits().breaker, 16)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"retry": {"attempts": 0}}, "limits.retry.attempts"),
        ({"retry": {"attempts": True}}, "limits.retry.attempts"),
        ({"retry": {"attempts": 1.5}}, "limits.retry.attempts"),
        ({"retry": {"strategy": "hope"}}, "limits.retry.strategy"),
        ({"retry": 5}, "limits.retry"),
        ({"rate": "fast"}, "limits.rate"),
        ({"breaker": {"open_seconds": float("nan")}}, "limits.breaker.open_seconds"),
        ({"speed": 9}, "limits.speed"),
    ],
)
def test_what_the_schema_does_not_allow_is_named(document, path):
    """
    Limits that come past the registry are looked at all the same.
    """
    with pytest.raises(ConfigurationFailure) as raised:
        Limits.of(document)

    assert (raised.value.reason, raised.value.path) == ("LIMITS_INVALID", path)


@pytest.mark.parametrize(
    ("strategy", "waits"), [("fixed", [2.0, 2.0, 2.0, 2.0]), ("linear", [2.0, 4.0, 5.0, 5.0])]
)
def test_strategies_wait_as_they_are_called(strategy, waits):
    """
    The same wait, or one that grows by the first; never more than the longest.
    """
    retry = {"strategy": strategy, "first_wait_seconds": 2, "longest_wait_seconds": 5}
    policy = Limits.of({"retry": retry}).retry.policy()

    assert [policy.wait(attempt) for attempt in range(1, 5)] == waits


@pytest.mark.parametrize("attempts", [1, 4])
async def test_attempts_are_the_instance_s(server, attempts):
    """
    The number of tries is what the document says.
    """
    server.on("/items", 503)
    api = client(server, {"retry": {**PATIENT, "attempts": attempts}})

    with pytest.raises(TransientFailure):
        await api.get("/items")

    assert len(server.requests) == attempts
    assert api.context.stats.retries == attempts - 1
    await api.close()


async def test_time_for_all_tries_cuts_the_last_one_short(server):
    """
    A silent system is given up when the time for all tries is over.
    """
    server.on("/items", Answer(until=asyncio.Event()))
    api = client(server, {"retry": {"total_seconds": 0.2}})

    with pytest.raises(TransientFailure) as raised:
        await api.get("/items")

    assert raised.value.reason == "SYSTEM_TIMEOUT"
    assert "longer than 0.2 s" in raised.value.message
    await api.close()


async def test_breaker_outlives_the_session(server):
    """
    A session that a failure spoiled hands what it learnt to the next one.
    """
    limits = {"retry": {"attempts": 1}, "breaker": {"failures": 2}}
    guards = Guards(Limits.of(limits))
    server.on("/items", 500)
    for _ in range(2):
        failing = client(server, limits, guards)
        with pytest.raises(TransientFailure):
            await failing.get("/items")
        await failing.close()
    after = client(server, limits, guards)

    with pytest.raises(TransientFailure) as raised:
        await after.get("/items")

    assert raised.value.reason == "CIRCUIT_OPEN"
    assert len(server.requests) == 2


async def test_rate_is_shared_by_all_clients_of_an_instance(server):
    """
    Two clients together keep to one rate, which takes the place of their own.
    """
    guards = Guards(Limits.of({"rate": "20/s"}))
    server.on("/items", {})
    first, second = client(server, {}, guards), client(server, {}, guards)
    started = time.monotonic()

    await asyncio.gather(*(api.get("/items") for api in (first, second) for _ in range(8)))

    # Ten turns come at once, the other six at 20 a second.
    assert time.monotonic() - started > 0.25
    await first.close()
    await second.close()


async def test_no_more_requests_at_a_time_than_allowed(server):
    """
    Further requests wait for a place.
    """
    under_way, seen = 0, []

    async def answer(_):
        nonlocal under_way
        under_way += 1
        seen.append(under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return {}

    server.on("/items", answer)
    api = client(server, {"concurrent": 2})

    await asyncio.gather(*(api.get("/items") for _ in range(6)))

    assert (len(seen), max(seen)) == (6, 2)
    await api.close()


class Nothing(BaseModel):
    """No settings."""


class Slow(Connector[Nothing]):
    """Declares a rate, and calls without naming one."""

    rate_limit = RateLimit(requests=120, per=timedelta(minutes=1))

    def open(self):
        self.api = Api("https://slow.example")


@pytest.mark.parametrize(("document", "rate"), [({}, 2.0), ({"rate": "5/s"}, 5.0)], ids=["declared", "own"])
def test_the_rate_that_a_connector_declares_holds_unless_the_instance_has_one(document, rate):
    """
    For every call that names none; whoever shares limits is told of the former.
    """
    guards, told = Guards(Limits.of(document)), []
    guards.shares_rate = lambda: told.append("shared")
    session = Session(Slow, {}, guards=guards)
    with session.context.active():
        session.connector.open()

    assert guards.bucket("slow.example", session.context.rate).rate == rate
    assert told == ([] if document else ["shared"])
