"""What scheduling signs for hosts, and for which ones."""

from isthmus.kit.tickets import LONGEST, SIGN, Ticket
from isthmus.kit.tokens import TrustStore
from isthmus.resilience.faults import NotAllowed
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub


def said(bench, text):
    """Gives what a ticket says whose signer may sign tickets."""
    trust = TrustStore(bench.service.settings.trust_file)
    trust.find("e30.e30.e30")  # reads the file
    return trust.claims_of(text, kind="ticket", permission=SIGN, lifetime=LONGEST)


async def begun(bench):
    return (await bench.start(await bench.flow())).execution_id


def renewing(bench, lease, **more):
    request = pb.RenewLeaseRequest(
        execution_id=lease.execution_id, fencing_token=lease.token, wants_tickets=True, **more
    )
    return bench.host.stub.RenewLease(request)


async def test_a_lease_comes_with_a_ticket_for_each_end_of_the_flow(bench):
    """
    The source's is for the host that reads, the destination's for who serves it, shown by who reads.
    """
    lease = (await bench.host.acquire(await begun(bench))).answer
    source, destination = lease.flow.source.instance_id, lease.flow.destination.instance_id
    flow, ends = lease.flow.flow_id, (lease.flow.source.stream, lease.flow.destination.stream)
    reads = Ticket(bench.tenant, source, "host:files", "host:files", flow_id=flow, stream=ends[0])
    writes = Ticket(bench.tenant, destination, "service:records", "host:files", flow_id=flow, stream=ends[1])

    assert said(bench, lease.source_ticket).items() >= reads.claims.items()
    assert said(bench, lease.destination_ticket).items() >= writes.claims.items()


async def test_tickets_are_renewed_on_demand_as_long_as_the_lease_holds(bench):
    """
    A heartbeat that wants none gets none, and an attempt that has ended gets none either.
    """
    lease = await bench.host.acquire(await begun(bench))
    renewed = await renewing(bench, lease)
    silent = await bench.host.renew(lease)
    await bench.host.finish(lease)
    late = await bench.refused(renewing(bench, lease))

    assert said(bench, renewed.source_ticket)["ins"] == lease.answer.flow.source.instance_id
    assert renewed.destination_ticket
    assert not silent.source_ticket
    assert late.reason == "FENCED"


async def test_a_host_gets_work_of_its_own_connector_only(bench):
    """
    Whatever it tells of itself: who it is says its certificate and its key.
    """
    execution = await begun(bench)
    other = SchedulingServiceStub(
        bench.service.channel(tenant=bench.tenant, mesh=True, subject="host:postgres")
    )
    asked = pb.AcquireLeaseRequest(execution_id=execution, host_id="thief", connector_id="files")
    refused = await bench.refused(other.AcquireLease(asked))

    assert refused.reason == "LEASE_HELD"
    assert not isinstance(refused, NotAllowed)
    assert (await bench.host.acquire(execution)).answer.source_ticket


async def test_who_is_written_to_neither_moves_nor_ends_the_attempt(bench):
    """
    A destination's host is told the execution and its fencing token, which are not enough.
    """
    lease = await bench.host.acquire(await begun(bench))
    written_to = SchedulingServiceStub(
        bench.service.channel(tenant=bench.tenant, mesh=True, subject="host:postgres")
    )
    told = {"execution_id": lease.execution_id, "fencing_token": lease.token}
    refused = [
        await bench.refused(written_to.RenewLease(pb.RenewLeaseRequest(**told))),
        await bench.refused(written_to.CommitCheckpoint(pb.CommitCheckpointRequest(**told))),
        await bench.refused(
            written_to.FinishAttempt(
                pb.FinishAttemptRequest(**told, outcome=pb.FinishAttemptRequest.OUTCOME_COMPLETED)
            )
        ),
    ]

    assert [one.reason for one in refused] == ["FENCED"] * 3
    assert (await bench.host.finish(lease)).status == pb.Execution.STATUS_COMPLETED
