"""What callers change is recorded in the transaction that changes it, and nothing else is."""

import json

import pytest
from isthmus.credentials.v1 import credentials_pb2
from isthmus.kit import DomainEvent, Outbox
from isthmus.kit.auditing import Recorder, record_together
from isthmus.kit.deed import Deed, done_from_here, tell
from isthmus.kit.principal import Principal
from isthmus.resilience.faults import Precondition
from isthmus.testing.canaries import PLANTED
from sqlalchemy import text

ADD = text("INSERT INTO note VALUES (:tenant, :id, 'x')")
READ = text("SELECT count(*) FROM note")
RECORDS = text("SELECT body FROM outbox WHERE subject = 'isthmus.audit' ORDER BY position")
ADA = Principal("usr_ada", "tnt_a", frozenset({"*"}), "user")
SECRET = f"{PLANTED}audited"


@pytest.fixture
def deed():
    request = credentials_pb2.CreateAuthConfigRequest(
        name="siem", request_id="r1", secret=credentials_pb2.SecretMaterial(bearer_token=SECRET)
    )
    deed = Deed("x.y.Z/Change", "change", ADA, request, "127.0.0.1:9", "cor_1")
    done_from_here(deed)
    yield deed
    done_from_here(None)


async def records(db):
    async with db.system() as conn:
        return [json.loads(body) for body in (await conn.execute(RECORDS)).scalars()]


async def change(db, note="n1"):
    async with db.tenant("tnt_a") as conn:
        await conn.execute(ADD, {"tenant": "tnt_a", "id": note})


async def test_a_change_is_recorded_once_and_where_it_is_made(db, deed):
    """
    A transaction that only reads is not it; the second one that changes something adds nothing.
    """
    async with db.tenant("tnt_a") as conn:
        await conn.execute(READ)
    await change(db)
    await change(db, "n2")
    await Recorder(db).finish(deed)
    [record] = await records(db)

    assert (record["method"], record["subject"], record["outcome"]) == ("x.y.Z/Change", "usr_ada", "OK")
    assert record["peer"] == "127.0.0.1:9"
    assert SECRET not in json.dumps(record)


async def test_what_is_rolled_back_was_not_done(db, deed):
    """
    The refusal is recorded instead, without what never came to be.
    """
    fault = Precondition("IN_USE", "It is in use.")

    async def fail():
        async with db.tenant("tnt_a") as conn:
            await conn.execute(ADD, {"tenant": "tnt_a", "id": "n1"})
            tell(after={"note": "n1"})
            raise fault

    with pytest.raises(Precondition):
        await fail()
    await Recorder(db).refuse(deed, fault)
    [record] = await records(db)

    assert (record["outcome"], record["reason"]) == ("FAILED_PRECONDITION", "IN_USE")
    assert "after" not in json.loads(record["details"])


async def test_a_record_says_what_was_there_before_and_is_there_now(db, deed):
    """
    The latter comes from the events of the same transaction.
    """
    event = DomainEvent(
        "tnt_a", "note", "created", "note_1", credentials_pb2.AuthenticationConfig(name="now")
    )
    async with db.tenant("tnt_a") as conn:
        tell(before=credentials_pb2.AuthenticationConfig(name="then"), target="note_0")
        await Outbox("sample").add(conn, event)
    [record] = await records(db)
    details = json.loads(record["details"])

    assert record["targets"] == ["note_0", "note_1"]
    assert details["before"] == [{"name": "then"}]
    assert details["after"][0]["data"] == {"name": "now"}


async def test_large_requests_make_small_records(db, deed):
    """
    What is left out is known by its digest.
    """
    deed.request.description = "long " * 100_000
    await change(db)
    [record] = await records(db)

    assert len(record["details"]) < 50_000
    assert "SHA-256" in record["details"]


async def test_several_deeds_go_into_one_transaction(db, deed):
    """
    Those who do many callers' work at once say whose is done.
    """
    other = Deed("x.y.Z/Change", "change", ADA, None, "", "cor_2")
    done_from_here(None)
    async with db.tenant("tnt_a") as conn:
        await record_together(conn, "tnt_a", [deed, None, other])

    assert [record["correlation_id"] for record in await records(db)] == ["cor_1", "cor_2"]
    assert deed.recorded
    assert other.recorded


async def test_a_process_that_changes_nothing_leaves_no_record(db, deed):
    """
    A process of the mesh asks again and again for what is so already; a person's wish is kept.
    """
    host = Principal("host:files", "tnt_a", frozenset({"*"}), "mesh")
    await Recorder(db).finish(Deed("x.y.Z/Change", "change", host, None, "", ""))
    await Recorder(db).finish(Deed("x.y.Z/Read", "access", host, None, "", ""))
    await Recorder(db).finish(deed)

    assert [record["method"] for record in await records(db)] == ["x.y.Z/Read", "x.y.Z/Change"]


async def test_parts_of_a_call_are_told_of_together_and_refused_ones_alone(db, deed):
    """
    One record names all that a transaction did for the call; each refusal has its own reason.
    """
    parts = [deed.part(credentials_pb2.GetAuthConfigRequest(auth_config_id=f"ath_{n}")) for n in range(40)]
    async with db.tenant("tnt_a") as conn:
        done_from_here(None)
        await conn.execute(ADD, {"tenant": "tnt_a", "id": "n1"})
        await record_together(conn, "tnt_a", parts[1:])
    deed.refused.append((parts[0], Precondition("IN_USE", "It is in use.")))
    await Recorder(db).finish(deed)
    done, rest, refused = await records(db)

    assert [*done["targets"], *rest["targets"]] == [f"ath_{n}" for n in range(1, 40)]
    assert len(json.loads(done["details"])["requests"]) == 30
    assert (refused["reason"], refused["targets"]) == ("IN_USE", ["ath_0"])
