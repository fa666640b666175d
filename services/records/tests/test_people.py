"""How long data is kept, and what becomes of one person's data."""

import asyncio
import json
import uuid

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.credentials.v1 import credentials_pb2, credentials_pb2_grpc
from isthmus.monitoring.v1 import monitoring_pb2, monitoring_pb2_grpc
from isthmus.records.v1 import privacy_pb2 as pb
from isthmus.records.v1 import privacy_pb2_grpc as pb_grpc
from isthmus.records.v1 import records_pb2
from isthmus.services.records.domain.persons import marker_of
from isthmus.testing.waiting import waiting_for
from isthmus.type.v1 import privacy_pb2

ADA, BOB = "ada@example.org", "bob@example.org"
PERSONAL = [
    privacy_pb2.FieldClass(path="mail", data_class=privacy_pb2.DATA_CLASS_PERSONAL),
    privacy_pb2.FieldClass(path="name", data_class=privacy_pb2.DATA_CLASS_PERSONAL),
]
REPLACE = pb.ErasePersonDataRequest.ACTION_REPLACE
DELETE = pb.ErasePersonDataRequest.ACTION_DELETE


class Keepsakes(credentials_pb2_grpc.CredentialsServiceServicer):
    """The service of credentials, which keeps no text."""

    async def RedactTexts(self, request, context):
        return credentials_pb2.RedactTextsResponse()


@pytest.fixture(scope="module")
async def mesh(open_mesh):
    """The hub, which looks for what is too old all the time, and the services that keep texts."""
    async with open_mesh() as mesh:
        names = ("monitoring", "events", "scheduling", "mapping", "registry")
        monitoring, *_ = [await mesh.start(name) for name in names]
        await mesh.fake(
            "credentials", credentials_pb2_grpc.add_CredentialsServiceServicer_to_server, Keepsakes()
        )
        yield mesh, monitoring, await mesh.start("records", retention_seconds=0.2)


@pytest.fixture
def town(mesh, hub_of):
    """A tenant's view of it."""
    return hub_of(mesh[2])


def person(number, mail, name):
    return {"id": number, "mail": mail, "name": name}


async def fill(hub):
    """Ada in a record, its history and quarantine; Bob in a record."""
    rows = [person(1, ADA, "Ada L."), person(2, BOB, "Bob")]
    await hub.put("people", rows, ["1", "2"], field_classes=PERSONAL)
    await hub.put("people", [person(1, ADA, "Ada Lovelace")], ["1"], field_classes=PERSONAL)
    kept = records_pb2.QuarantinedRecord(
        flow_id="flw_1",
        execution_id="exe_1",
        record=json.dumps(person(1, ADA, "Ada")),
        field_classes=PERSONAL,
    )
    await hub.records.QuarantineRecords(records_pb2.QuarantineRecordsRequest(records=[kept]))


def privacy(hub):
    return pb_grpc.PrivacyServiceStub(hub.service.channel(tenant=hub.tenant))


async def erased(hub, subject=ADA, action=REPLACE, **more):
    request_id = more.pop("request_id", str(uuid.uuid4()))
    request = pb.ErasePersonDataRequest(subject=subject, action=action, request_id=request_id, **more)
    return [answer async for answer in privacy(hub).ErasePersonData(request)][-1]


def everything(hub):
    """All that the tenant's tables hold, as one text."""
    tables = ("records", "record_history", "quarantine", "conflicts", "outbox", "erasures", "suppressions")
    found = [
        hub.sql(f"SELECT t::text FROM records.{t} AS t WHERE tenant_id = '{hub.tenant}'") for t in tables
    ]
    return str(found)


async def test_export_finds_a_person_everywhere(town):
    """
    All forms of a record, and what waits in quarantine, come out; nobody else does.
    """
    await fill(town)

    request = pb.ExportPersonDataRequest(subject="ADA@example.org")
    answers = [answer async for answer in privacy(town).ExportPersonData(request)]

    found = [json.loads(line) for answer in answers for line in answer.lines]
    assert sorted(one["place"] for one in found) == ["history", "quarantine", "records"]
    assert {one["data"]["name"] for one in found if "data" in one} == {"Ada L.", "Ada Lovelace"}


async def test_a_dry_run_erases_nothing(town):
    """
    A dry run counts what there is and leaves it.
    """
    await fill(town)

    told = await erased(town, is_dry_run=True)

    assert (told.counts.records, told.counts.history, told.counts.quarantined) == (1, 1, 1)
    assert ADA in everything(town)


@pytest.mark.parametrize("action", [REPLACE, DELETE], ids=["replace", "delete"])
async def test_nothing_of_an_erased_person_is_left(town, action):
    """
    Afterwards no table holds the person's values; the other person is untouched.
    """
    await fill(town)

    told = await erased(town, action=action)

    left = everything(town)
    assert told.is_done
    assert (told.counts.records, told.counts.history, told.counts.quarantined) == (1, 1, 1)
    assert ADA not in left
    assert "Lovelace" not in left
    assert (await town.content("people"))["2"] == person(2, BOB, "Bob")


async def test_an_erased_person_does_not_come_back(town):
    """
    The next sync brings the person again, and the hub keeps placeholders; others arrive.
    """
    await fill(town)
    await erased(town)

    rows = [person(1, ADA, "Ada Lovelace"), person(3, "cyd@example.org", "Cyd")]
    await town.put("people", rows, ["1", "3"], field_classes=PERSONAL)
    await town.put("others", [{"id": 9, "mail": ADA}], ["9"], field_classes=PERSONAL)

    found = await town.content("people")
    assert found["1"] == {"id": 1, "mail": "‹erased›", "name": "‹erased›"}
    assert found["3"]["name"] == "Cyd"
    assert (await town.content("others"))["9"] == {"id": 9, "mail": "‹erased›"}


async def test_quarantine_does_not_bring_a_person_back(town):
    """
    A record of an erased person that goes to quarantine again waits there without personal values.
    """
    await fill(town)
    await erased(town, action=DELETE)

    kept = records_pb2.QuarantinedRecord(
        flow_id="flw_1", record=json.dumps(person(1, ADA, "Ada Lovelace")), field_classes=PERSONAL
    )
    await town.records.QuarantineRecords(records_pb2.QuarantineRecordsRequest(records=[kept]))

    assert ADA not in everything(town)
    assert "Lovelace" not in everything(town)


async def test_readers_learn_of_an_erasure(town):
    """
    A flow that reads changes brings the erasure to where it writes.
    """
    await fill(town)
    _, end = await town.read("people", connector_pb.READ_MODE_DELTA)
    await erased(town, action=DELETE)

    changed, _ = await town.read("people", connector_pb.READ_MODE_DELTA, position=end.position)

    assert changed == [("1", 3)]


async def test_a_person_in_the_key_is_removed(town):
    """
    Where the key itself is the person's address, no row stays and none comes back.
    """
    await town.put("people", [{"mail": ADA}], [ADA], field_classes=PERSONAL)

    await erased(town)
    await town.put("people", [{"mail": ADA}], [ADA], field_classes=PERSONAL)

    assert await town.content("people") == {}
    assert ADA not in everything(town)


async def test_an_erasure_is_resumed_and_answers_again(town, refused):
    """
    The same id gives the same result; for another person it is refused.
    """
    await fill(town)
    first = await erased(town, request_id="one")

    again = await erased(town, request_id="one")

    assert again.counts == first.counts
    assert await refused(erased(town, subject=BOB, request_id="one")) == (
        grpc.StatusCode.ABORTED,
        "REQUEST_ID_REUSED",
    )


async def test_an_allowed_person_may_come_in_again(town):
    """
    Who is allowed again arrives with the next sync.
    """
    await fill(town)
    await erased(town)

    answer = await privacy(town).AllowPerson(pb.AllowPersonRequest(subject=ADA))
    await town.put("people", [person(1, ADA, "Ada")], ["1"], field_classes=PERSONAL)

    assert answer.was_suppressed
    assert (await town.content("people"))["1"]["name"] == "Ada"


async def test_logs_lose_the_person(town, mesh):
    """
    Lines of logs that name a user id keep everything but it.
    """
    stub = monitoring_pb2_grpc.MonitoringServiceStub(mesh[1].channel(tenant=town.tenant))
    line = monitoring_pb2.IntegrationLog(
        log_id="log_1", type=monitoring_pb2.IntegrationLog.TYPE_INFO, message="User u-4711 was refused."
    )
    await stub.AppendLogs(monitoring_pb2.AppendLogsRequest(logs=[line]))

    told = await erased(town, subject="U-4711")

    (kept,) = (await stub.ListLogs(monitoring_pb2.ListLogsRequest())).logs
    assert told.counts.logs == 1
    assert kept.message == "User ‹erased› was refused."


ANSWER = {"rpc": "CreateThing", "request_id": "r1", "fingerprint": "x", "response": f"..{ADA}.."}
FAILURE = {"reason": "ODD", "message": f"Value '{ADA}' is no number."}
KEPT = {
    "events.events": {
        "event_id": "evt_1", "position": 1, "type": "own.person", "source": "s", "subject": ADA,
        "time": "2026-01-01", "data": json.dumps({"who": "Ada@Example.org", "n": 1}), "traceparent": "",
        "correlation_id": "", "nats_subject": "",
    },
    "scheduling.idempotency": ANSWER,
    "mapping.idempotency": ANSWER,
    "registry.idempotency": ANSWER,
    "scheduling.action_calls": {
        "call_id": "c1", "run_id": "run_1", "step": "s", "undoes": False, "instance_id": "i", "action": "a",
        "input": json.dumps({"mail": ADA}), "retries": 0, "next_time": "2026-01-01", "end_time": "2026-01-01",
    },
    "scheduling.plan_runs": {
        "run_id": "run_1", "plan_id": "p", "plan": "{}", "steps": json.dumps([FAILURE]), "status": "failed",
        "trigger": "manual", "initiated_by": "x", "create_time": "2026-01-01", "end_time": "2026-01-01",
        "correlation_id": "",
    },
    "monitoring.runs": {
        "instance_id": "i", "execution_id": "e", "flow_id": "f", "status": "failed",
        "end_time": "2026-01-01", "quarantined": 0, "error": FAILURE["message"],
    },
    "records.reconciliations": {"report_id": "r1", "flow_id": "f", "samples": json.dumps([{"key": ADA}])},
}  # fmt: skip


def keep(hub):
    """What other services may have kept of Ada."""
    for table in sorted(KEPT, key=lambda name: name == "scheduling.action_calls"):
        row = {"tenant_id": hub.tenant, **KEPT[table]}
        names = ", ".join(row)
        values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in row.values())
        hub.sql(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING 1")


def kept(hub):
    """The same tables as one text."""
    found = [hub.sql(f"SELECT t::text FROM {t} AS t WHERE tenant_id = '{hub.tenant}'") for t in KEPT]
    return str(found).lower()


async def test_texts_that_other_services_keep_lose_the_person(town):
    """
    Errors, answers, events and reports are exported, counted and scrubbed by one and the same search.
    """
    keep(town)

    request = pb.ExportPersonDataRequest(subject=ADA)
    answers = [answer async for answer in privacy(town).ExportPersonData(request)]
    told = await erased(town)

    lines = [json.loads(line) for answer in answers for line in answer.lines]
    tables = sorted(one["table"] for one in lines if "table" in one)
    assert tables == sorted(name.partition(".")[2] for name in KEPT)
    assert (told.counts.executions, told.counts.events, told.counts.answers) == (4, 1, 3)
    assert "‹erased›" in kept(town)
    assert ADA not in kept(town)


async def test_marks_that_have_one_key_get_the_second(town):
    """
    Who was erased before marks had two keys stays out: the marks are hashed again, none is lost.
    """
    where = f"WHERE tenant_id = '{town.tenant}'"
    await fill(town)
    pepper = b"p" * 32
    old = marker_of(pepper, ADA).hex()
    town.sql(
        f"INSERT INTO records.peppers (tenant_id, pepper) VALUES ('{town.tenant}', '\\x{pepper.hex()}') "
        "RETURNING 1"
    )
    town.sql(
        "INSERT INTO records.suppressions (tenant_id, marker, removes) "
        f"VALUES ('{town.tenant}', '\\x{old}', false) RETURNING 1"
    )
    town.sql(f"UPDATE records.streams SET is_suppressed = true {where} RETURNING 1")
    async with waiting_for("marks to be keyed"):
        while not town.sql(f"SELECT 1 FROM records.peppers {where} AND is_keyed"):
            await asyncio.sleep(0.05)

    await town.put("people", [person(1, ADA, "Ada")], ["1"], field_classes=PERSONAL)

    ((mark,),) = town.sql(f"SELECT encode(marker, 'hex') FROM records.suppressions {where}")
    assert mark != old
    assert (await town.content("people"))["1"]["name"] == "‹erased›"


async def test_retention_of_a_stream_overrides_the_tenants(town):
    """
    A stream has its own time, or the tenant's, or the default.
    """
    await fill(town)
    day = Duration(seconds=86_400)
    for retention in (pb.Retention(history=day), pb.Retention(stream="people", deleted=day)):
        await privacy(town).SetRetention(pb.SetRetentionRequest(retention=retention))

    found = (await privacy(town).GetRetention(pb.GetRetentionRequest(stream="people"))).effective

    assert (found.records.seconds, found.history.seconds, found.deleted.seconds) == (0, 86_400, 86_400)


async def test_what_is_too_old_is_removed(town):
    """
    Old history and records go, newer ones stay, and the audit trail gets how many went.
    """
    await fill(town)
    await privacy(town).SetRetention(
        pb.SetRetentionRequest(retention=pb.Retention(stream="people", records=Duration(seconds=3600)))
    )
    where = f"WHERE tenant_id = '{town.tenant}'"
    town.sql(
        f"UPDATE records.record_history SET update_time = now() - interval '2 years' {where} RETURNING 1"
    )
    town.sql(
        "UPDATE records.records SET update_time = now() - interval '2 hours' "
        f"{where} AND key = '2' RETURNING 1"
    )

    async with waiting_for("what is too old to be gone"):
        while len(await town.content("people")) > 1 or town.sql(
            f"SELECT 1 FROM records.record_history {where}"
        ):
            await asyncio.sleep(0.05)

    told = [json.loads(body) for (body,) in town.sql(f"SELECT body FROM records.outbox {where}")]
    applied = [one["data"] for one in told if ".retention.applied." in one.get("type", "")]
    (stream,) = (await town.records.ListStreams(records_pb2.ListStreamsRequest())).streams
    assert sorted((one["kind"], one["removed"]) for one in applied) == [("history", "1"), ("records", "1")]
    assert any(one.get("method", "").endswith("ApplyRetention") for one in told)
    assert set(await town.content("people")) == {"1"}
    assert stream.records == 1
