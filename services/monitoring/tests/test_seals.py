"""Ends of audit trails that a real vault signs."""

import asyncio
import json
from datetime import UTC, datetime

import grpc
import pytest
from isthmus.kit import fault_from_rpc_error, new_id
from isthmus.kit.seals import Seals
from isthmus.monitoring.v1 import audit_pb2 as pb
from isthmus.monitoring.v1 import audit_pb2_grpc
from joserfc import jws
from joserfc.jwk import OKPKey

KIND = "audit-checkpoint"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("seals") / "seals.txt"


@pytest.fixture(scope="module")
async def service(running, file):
    options = {"audit_checkpoint_seconds": 0.05, "audit_checkpoint_file": file}
    async with running("monitoring", with_vault=True, **options) as service:
        yield service


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
async def stub(service, tenant):
    """The trail of a tenant that has one record."""
    stub = audit_pb2_grpc.AuditServiceStub(service.channel(tenant, mesh=True, subject="service:registry"))
    await append(stub)
    return stub


async def append(stub):
    record = pb.AuditRecord(
        record_id=new_id("aud"), subject="usr_ada", outcome="OK", method="a.v1.B/C", details="{}"
    )
    record.kind = pb.AuditRecord.KIND_CHANGE
    await stub.AppendAuditRecords(pb.AppendAuditRecordsRequest(records=[record]))


async def seal_of(stub):
    return await stub.SealAuditTrail(pb.SealAuditTrailRequest())


async def intact(stub, *seals):
    answers = [a async for a in stub.VerifyAuditTrail(pb.VerifyAuditTrailRequest(seals=seals))]
    return answers[-1].is_intact


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return fault_from_rpc_error(refusal.value).reason


async def test_the_vault_signs_and_anybody_may_verify(stub, tenant):
    """
    With the public key that comes along, and without the mesh.
    """
    answer = await seal_of(stub)
    key_id = jws.extract_compact(answer.seal.encode()).headers()["kid"]
    [key] = [key for key in json.loads(answer.keys)["keys"] if key["kid"] == key_id]
    opened = jws.deserialize_compact(answer.seal, OKPKey.import_key(key), algorithms=["Ed25519"])

    assert key_id == "monitoring-seals:1"
    assert json.loads(opened.payload)["tenant_id"] == tenant
    assert await intact(stub, answer.seal)


async def test_the_key_cannot_be_taken_out_of_the_vault(vault):
    """
    Neither by the service, which may sign and no more, nor by who may do everything.
    """
    import hvac

    client = vault.root()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="not exportable"):
        client.secrets.transit.export_key("monitoring-seals", "signing-key")
    role = vault.role_files("monitoring")
    client.auth.approle.login(role.role_id.read_text(), role.secret_id.read_text())
    for path in ("transit/keys/monitoring-seals/config", "secret/data/isthmus/identity/x"):
        with pytest.raises(hvac.exceptions.Forbidden):
            client.write_data(path, data={"exportable": True})


async def test_a_stolen_key_of_the_process_signs_nothing_new(service, stub, tenant):
    """
    What it signed before there was a key in the vault still counts.
    """
    settings, end = service.settings, (await seal_of(stub)).checkpoint
    stolen = Seals(settings.service_key_file, settings.trust_file)
    said = {"tenant_id": tenant, "sequence": end.sequence, "hash": end.hash}
    forged, old = [
        await stolen.make(KIND, said, time) for time in (datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC))
    ]

    assert await refused(intact(stub, forged)) == "SEAL_INVALID"
    assert await intact(stub, old)


async def test_sealing_waits_for_the_vault(service, vault, stub, tenant, file):
    """
    Nothing is signed by a lesser key while it is away; what has grown meanwhile is signed when it is back.
    """
    vault.kill()
    try:
        await append(stub)
        told = await refused(seal_of(stub))
    finally:
        vault.start()

    def ends():
        bodies = (jws.extract_compact(seal.encode()).payload for seal in file.read_bytes().decode().split())
        return {one["sequence"] for one in map(json.loads, bodies) if one["tenant_id"] == tenant}

    assert told == "VAULT_UNREACHABLE"
    async with asyncio.timeout(120):
        while 2 not in ends():
            await asyncio.sleep(0.05)
