"""The audit trail over gRPC, on a real PostgreSQL: it only grows, and what is done to it is found."""

import json
from datetime import UTC, datetime

import grpc
import psycopg
import pytest
from isthmus.kit import fault_from_rpc_error, new_id
from isthmus.kit.seals import Seals
from isthmus.kit.tokens import TrustStore
from isthmus.monitoring.v1 import audit_pb2 as pb
from isthmus.monitoring.v1 import audit_pb2_grpc
from isthmus.resilience.faults import NotAuthenticated
from isthmus.resilience.trail import Checkpoint, Entry, inspect

METHOD = "isthmus.registry.v1.RegistryService/UpdateInstance"
_Kind = pb.AuditFinding.Kind


@pytest.fixture(scope="module")
async def service(running):
    async with running("monitoring") as service:
        yield service


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
def stub(service, tenant):
    channel = service.channel(tenant, mesh=True, subject="service:registry")
    return audit_pb2_grpc.AuditServiceStub(channel)


def deed(subject="usr_ada", **fields):
    fields = {"method": METHOD, "kind": pb.AuditRecord.KIND_CHANGE, "details": '{"after":[]}', **fields}
    return pb.AuditRecord(record_id=new_id("aud"), subject=subject, outcome="OK", **fields)


async def append(stub, *records):
    return await stub.AppendAuditRecords(pb.AppendAuditRecordsRequest(records=records))


async def verify(stub, *checkpoints, seals=()):
    request = pb.VerifyAuditTrailRequest(checkpoints=checkpoints, seals=seals)
    answers = [a async for a in stub.VerifyAuditTrail(request)]
    found = [(_Kind.Name(a.finding.kind)[5:], a.finding.sequence) for a in answers if a.HasField("finding")]
    return answers[-1], found


def as_superuser(service, *statements):
    """Does what no role of the mesh may do."""
    with psycopg.connect(service._mesh.database_url(), autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")
        for statement in statements:
            conn.execute(statement)


async def test_a_record_that_comes_twice_is_kept_once(stub):
    """
    A service that lost the answer brings its records again.
    """
    one, other = deed(), deed("usr_bob", targets=["ins_1"])
    first = await append(stub, one, other)
    again = await append(stub, other, one)
    found = await stub.ListAuditRecords(pb.ListAuditRecordsRequest())

    assert (first.appended, again.appended) == (2, 0)
    assert [(r.sequence, r.subject, r.service) for r in found.records] == [
        (2, "usr_bob", "registry"),
        (1, "usr_ada", "registry"),
    ]
    assert found.records[0].previous_hash == found.records[1].hash


async def test_records_are_found_by_who_what_and_how_it_ended(stub):
    """
    What is asked for restricts; pages follow one another.
    """
    refused = deed("usr_eve", method="x.y.Z/Delete", targets=["ins_9"])
    refused.outcome, refused.reason = "PERMISSION_DENIED", "PERMISSION_MISSING"
    await append(stub, deed(), deed(), refused)
    wanted = {"subject": "usr_eve", "method": "Delete", "target": "ins_9", "only_refused": True}
    found = await stub.ListAuditRecords(pb.ListAuditRecordsRequest(**wanted))
    page = await stub.ListAuditRecords(pb.ListAuditRecordsRequest(page_size=2))
    rest = await stub.ListAuditRecords(pb.ListAuditRecordsRequest(page_token=page.next_page_token))

    assert [record.record_id for record in found.records] == [refused.record_id]
    assert [r.sequence for r in [*page.records, *rest.records]] == [3, 2, 1]


async def test_not_even_the_owner_of_the_table_changes_a_record(service, stub, tenant):
    """
    The running service lacks the right, and the owner runs into the trigger.
    """
    await append(stub, deed())
    role, owner = service.settings.database_url, service.settings.database_owner_url
    told = []
    for url, change in (
        (role, "update audit_records set subject = 'x'"),
        (role, "delete from audit_records"),
        (owner, "truncate audit_records"),
    ):
        with psycopg.connect(url.get_secret_value(), options="-csearch_path=monitoring") as conn:
            conn.execute("select set_config('isthmus.tenant', %s, false)", (tenant,))
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal:
                conn.execute(change)
            told.append(str(refusal.value).splitlines()[0])

    assert "permission denied" in told[0]
    assert "permission denied" in told[1]
    assert "can only be added to" in told[2]


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        pytest.param(
            "update {t} set subject = 'usr_x' where sequence = 3 and {o}", ("CHANGED", 3), id="changed"
        ),
        pytest.param("delete from {t} where sequence = 3 and {o}", ("DELETED", 3), id="deleted"),
        pytest.param("delete from {t} where sequence > 4 and {o}", ("CUT_OFF", 5), id="cut-off"),
        pytest.param(
            "update {t} set sequence = 99 where sequence = 3 and {o};"
            "update {t} set sequence = 3 where sequence = 4 and {o};"
            "update {t} set sequence = 4 where sequence = 99 and {o}",
            ("REORDERED", 3),
            id="reordered",
        ),
    ],
)
async def test_what_is_done_to_the_trail_is_found_and_located(service, stub, tenant, harm, expected):
    """
    Whoever has the whole database in hand is found out all the same.
    """
    await append(stub, *(deed() for _ in range(6)))
    whole, nothing = await verify(stub)
    statements = harm.format(t="monitoring.audit_records", o=f"tenant_id = '{tenant}'").split(";")
    as_superuser(service, *statements)
    harmed, found = await verify(stub, whole.end)

    assert (whole.is_intact, nothing, whole.verified) == (True, [], 6)
    assert not harmed.is_intact
    assert found[0] == expected


async def test_an_export_is_verified_by_anybody(stub, tenant):
    """
    Each line has all that its hash covers.
    """
    await append(stub, *(deed(f"usr_ü{n}", targets=["ins_1", "ath_2"]) for n in range(3)))
    got = [a.lines async for a in stub.ExportAuditRecords(pb.ExportAuditRecordsRequest())]
    lines = [json.loads(line) for line in b"".join(got).splitlines()]
    hashes = [(line.pop("previous_hash"), line.pop("hash")) for line in lines]
    entries = [Entry(line.pop("sequence"), line, *pair) for line, pair in zip(lines, hashes, strict=True)]

    assert list(inspect(entries, [Checkpoint(3, hashes[2][1])])) == []
    assert {line["tenant_id"] for line in lines} == {tenant}


async def sealed(stub):
    return (await stub.SealAuditTrail(pb.SealAuditTrailRequest())).seal


async def test_a_signed_end_that_was_kept_elsewhere_shows_what_was_cut_off(service, stub, tenant):
    """
    Even where the newest records are gone together with everything that the database knew of them.
    """
    await append(stub, *(deed() for _ in range(6)))
    seal = await sealed(stub)
    gone = f"tenant_id = '{tenant}' and sequence > 4"
    as_superuser(
        service, *(f"delete from monitoring.audit_{t} where {gone}" for t in ("records", "checkpoints"))
    )
    _, unseen = await verify(stub)
    _, found = await verify(stub, seals=[seal])

    assert unseen == []
    assert found == [("CUT_OFF", 5)]


async def test_a_seal_counts_for_its_tenant_and_from_monitoring_only(service, stub):
    """
    What another process has signed, or somebody has changed, is refused; another tenant's says nothing.
    """
    await append(stub, deed())
    other = audit_pb2_grpc.AuditServiceStub(service.channel("tnt_x", mesh=True, subject="service:registry"))
    await append(other, deed(), deed())
    foreign, own = await sealed(other), await sealed(stub)
    settings = service.settings
    stranger = Seals(service._mesh.keys.key_file("service:events"), settings.trust_file)
    false = [
        await stranger.make("audit-checkpoint", {"sequence": 1, "hash": "0" * 64}, datetime.now(UTC)),
        own[:-4] + "AAAA",
        "x.y",
        "",
    ]
    told = []
    for seal in false:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await verify(stub, seals=[seal])
        told.append(fault_from_rpc_error(refusal.value).reason)
    last, found = await verify(stub, seals=[own, foreign])

    assert set(told) == {"SEAL_INVALID"}
    assert (found, last.is_intact) == ([], True)
    with pytest.raises(NotAuthenticated):
        TrustStore(settings.trust_file).verify(own)


async def test_what_concerns_no_tenant_is_for_who_runs_the_installation(service, stub):
    """
    Whoever may read everything of a tenant may not read that.
    """
    mesh = service.channel("installation", mesh=True, subject="service:identity")
    one = deed("usr_founder", method="isthmus.identity.v1.IdentityService/CreateTenant")
    await append(audit_pb2_grpc.AuditServiceStub(mesh), one)
    may, may_not = (
        audit_pb2_grpc.AuditServiceStub(service.channel("tnt_first", [permission]))
        for permission in ("monitoring.installation.audit", "monitoring.*.read")
    )
    found = await may.ListInstallationRecords(pb.ListInstallationRecordsRequest(method="CreateTenant"))
    lines = [a.lines async for a in may.ExportInstallationRecords(pb.ExportInstallationRecordsRequest())]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await may_not.ListInstallationRecords(pb.ListInstallationRecordsRequest())

    assert [record.record_id for record in found.records] == [one.record_id]
    assert json.loads(lines[0])["tenant_id"] == "installation"
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_only_processes_of_the_mesh_add_records(service, tenant):
    """
    Whoever may read the trail may not write it.
    """
    stub = audit_pb2_grpc.AuditServiceStub(service.channel(tenant, ["monitoring.audit.read"]))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await append(stub, deed())

    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_the_end_of_a_growing_chain_goes_out_as_an_event(running, tenant, tmp_path):
    """
    Others keep it, so that cutting the chain off, and its ends with it, is found out; a file keeps it signed.
    """
    file = tmp_path / "seals.txt"
    async with running("monitoring", audit_checkpoint_seconds=0.05, audit_checkpoint_file=file) as service:
        channel = service.channel(tenant, mesh=True, subject="service:registry")
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        await append(stub, deed())
        answer, _ = await verify(stub)
        while not answer.compared or not file.exists():
            answer, _ = await verify(stub)
        kept, _ = await verify(stub, seals=file.read_text().split())
        with psycopg.connect(service._mesh.database_url()) as conn:
            told = conn.execute(
                "select body::jsonb -> 'data' -> 'checkpoint' from monitoring.outbox "
                "where tenant_id = %s and subject like '%%.audit_checkpoint.created'",
                (tenant,),
            ).fetchall()

    assert [(one["sequence"], one["hash"]) for (one,) in told] == [("1", answer.end.hash)]
    assert kept.is_intact
    assert answer.is_intact
