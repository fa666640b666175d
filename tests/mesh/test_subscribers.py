"""Programs of tenants that take events from NATS itself, on a whole mesh."""

import asyncio
import json
import re
import ssl
from pathlib import Path

import nats
import pytest
from isthmus.testing.waiting import waiting_for

pytestmark = pytest.mark.mesh

PAGE = Path(__file__).resolve().parents[2] / "docs" / "subscribers.md"


async def access_of(world, tenant, name):
    """Makes a subscriber and gives what its program has to know."""
    made = await world.do(tenant.identity, "events.CreateSubscriber", name=name)
    fields = ("server", "authorities", "subscriber_id", "stream", "subject", "inbox_prefix")
    return {"password": made.password, **{field: getattr(made.subscriber, field) for field in fields}}


class Program:
    """A connection of a subscriber, which notes what it is refused and when it ends."""

    def __init__(self, client):
        self.client = client
        self.refused = []
        self.told = asyncio.Event()
        self.ended = asyncio.Event()

    @classmethod
    async def connected(cls, access):
        program = cls(nats.aio.client.Client())
        await program.client.connect(
            access["server"],
            tls=ssl.create_default_context(cadata=access["authorities"] or None),
            user=access["subscriber_id"],
            password=access["password"],
            inbox_prefix=access["inbox_prefix"],
            allow_reconnect=False,
            error_cb=program.note,
            closed_cb=program.end,
        )
        return program

    async def note(self, error):
        self.refused.append(str(error).lower())
        self.told.set()

    async def end(self):
        self.ended.set()

    async def refuses(self, subjects, way):
        """Tells which of the subjects the server refuses."""
        self.refused.clear()
        for subject in subjects:
            if way == "publish":
                await self.client.publish(subject, b"{}")
            else:
                await self.client.subscribe(subject)
        await self.client.publish("the.end", b"")
        async with waiting_for("the server to refuse the last subject"):
            while not self.refused or "the.end" not in self.refused[-1]:
                self.told.clear()
                await self.told.wait()
        told = " ".join(self.refused)
        return [subject for subject in subjects if f'"{subject}"'.lower() in told]


async def test_a_program_takes_its_tenants_events_and_no_others(world):
    """
    The page's own code gets what happened since its subscriber was made, of its tenant alone.
    """
    one, other = await world.tenant(), await world.tenant()
    access = await access_of(world, one, "siem")
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    scope, seen = {}, []
    exec(compile(code, "subscribers.md", "exec"), scope)
    for tenant in (other, one, other, one):
        await world.do(
            tenant.identity, "events.PublishEvent", type=f"custom.{tenant.word}.happened.v1", data="{}"
        )

    async with waiting_for("two events"):
        await scope["take"](access, seen.append, 2)

    assert {event["tenantid"] for event in seen} == {one.tenant_id}
    assert f"custom.{one.word}.happened.v1" in {event["type"] for event in seen}


async def test_a_subscriber_reaches_nothing_else(world):
    """
    Wider subjects, other tenants, others' inboxes and jobs, and every way to make a consumer are refused.
    """
    one, other = await world.tenant(), await world.tenant()
    mine, theirs = await access_of(world, one, "siem"), await access_of(world, other, "siem")
    program = await Program.connected(mine)
    heard = [theirs["subject"], "isthmus.v1.>", "isthmus.>", ">", "isthmus.jobs.>", "isthmus.dead.>"]
    heard += [f"{theirs['inbox_prefix']}.>", "_INBOX.>", "_INBOX_events.>", "$JS.>", "$SYS.>"]
    name, their_name, stream = mine["subscriber_id"], theirs["subscriber_id"], mine["stream"]
    said = [
        f"isthmus.v1.{one.tenant_id}.scheduling.sync.completed",
        "isthmus.jobs.files",
        *(
            f"$JS.API.CONSUMER.CREATE.{stream}.{name}{bound}"
            for bound in ("", ".isthmus.v1.>", f".{theirs['subject']}", f".{mine['subject']}")
        ),
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
        f"$JS.API.CONSUMER.CREATE.{stream}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{their_name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.events-store",
        f"$JS.API.CONSUMER.DELETE.{stream}.{their_name}",
        f"$JS.ACK.{stream}.events-store.1.1.1.1.0",
        *(f"$JS.API.{verb}.{stream}" for verb in ("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET")),
        *(f"$JS.API.{verb}.{stream}" for verb in ("STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE")),
        "$JS.API.STREAM.NAMES",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.SERVER.PING.CONNZ",
    ]

    assert await program.refuses(heard, "subscribe") == heard
    assert await program.refuses(said, "publish") == said
    await program.client.close()


async def test_deleting_a_subscriber_ends_its_connection(world):
    """
    Its program is put out by the server, and not let in again; another one stays.
    """
    tenant = await world.tenant()
    gone, stays = await access_of(world, tenant, "gone"), await access_of(world, tenant, "stays")
    leaving, staying = await Program.connected(gone), await Program.connected(stays)

    await world.do(tenant.identity, "events.DeleteSubscriber", subscriberId=gone["subscriber_id"])

    async with waiting_for("the server to end the connection"):
        await leaving.ended.wait()
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await Program.connected(gone)
    assert staying.client.is_connected
    await staying.client.close()


async def test_a_wrong_password_lets_nobody_in(world):
    """
    Neither does the password of another subscriber, nor the name of a process of the mesh.
    """
    tenant = await world.tenant()
    access, other = await access_of(world, tenant, "one"), await access_of(world, tenant, "other")

    for wrong in (
        {**access, "password": other["password"]},
        {**access, "password": ""},
        {**access, "subscriber_id": "events"},
        {**access, "subscriber_id": "nobody"},
    ):
        with pytest.raises(nats.errors.Error, match="Authorization"):
            await Program.connected(wrong)


async def test_a_password_is_shown_once(world):
    """
    A repeated call gives the same subscriber without it, and lists never show one.
    """
    tenant, request = await world.tenant(), {"name": "siem", "requestId": "r1"}
    first = await world.do(tenant.identity, "events.CreateSubscriber", **request)

    again = await world.do(tenant.identity, "events.CreateSubscriber", **request)
    shown = await world.do(tenant.identity, "events.ListSubscribers")

    assert first.password
    assert not again.password
    assert again.subscriber.subscriber_id == first.subscriber.subscriber_id
    assert json.dumps(first.password) not in str(shown)
    assert [one.name for one in shown.subscribers] == ["siem"]
