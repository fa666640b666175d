"""The monitoring service over gRPC, on a real PostgreSQL and NATS."""

from datetime import UTC, datetime

import grpc
import pytest
from isthmus.kit import Database, new_id
from isthmus.kit.event import ReceivedEvent
from isthmus.monitoring.v1 import monitoring_pb2 as pb
from isthmus.monitoring.v1 import monitoring_pb2_grpc
from isthmus.services.monitoring.domain import HealthState, InstanceRecord, judge, run_of
from isthmus.services.monitoring.events import remember_run

NOON = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
async def service(running):
    async with running("monitoring") as service:
        yield service


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
def stub(service, tenant):
    return monitoring_pb2_grpc.MonitoringServiceStub(service.channel(tenant))


def line(message="read 3 records", **fields):
    return pb.IntegrationLog(
        log_id=new_id("log"), type=pb.IntegrationLog.TYPE_INFO, message=message, **fields
    )


async def test_a_line_that_comes_twice_is_kept_once(stub):
    """
    A host that lost the answer sends its lines again.
    """
    request = pb.AppendLogsRequest(logs=[line(), line()])

    first = await stub.AppendLogs(request)
    again = await stub.AppendLogs(request)

    assert (first.appended, again.appended) == (2, 0)


async def test_lines_are_found_by_instance_execution_and_kind(stub):
    """
    What is asked for restricts, what is not does not.
    """
    wanted = line("a", instance_id="ins_1", execution_id="exe_1")
    await stub.AppendLogs(pb.AppendLogsRequest(logs=[wanted, line("b", instance_id="ins_2")]))

    kinds = [pb.IntegrationLog.TYPE_INFO]
    found = await stub.ListLogs(pb.ListLogsRequest(instance_id="ins_1", execution_id="exe_1", types=kinds))

    assert [log.message for log in found.logs] == ["a"]


async def test_pages_of_lines_sharing_one_time_lose_none(stub):
    """
    Paging goes by time and id.
    """
    logs = [line(str(number)) for number in range(5)]
    for log in logs:
        log.time.FromDatetime(NOON)
    await stub.AppendLogs(pb.AppendLogsRequest(logs=logs))

    seen, token = [], ""
    while True:
        page = await stub.ListLogs(pb.ListLogsRequest(page_size=2, page_token=token))
        seen += [log.message for log in page.logs]
        token = page.next_page_token
        if not token:
            break

    assert sorted(seen) == ["0", "1", "2", "3", "4"]


async def test_another_tenant_sees_nothing(service, stub):
    """
    The same question in another tenant's name finds an empty log.
    """
    await stub.AppendLogs(pb.AppendLogsRequest(logs=[line()]))
    other = monitoring_pb2_grpc.MonitoringServiceStub(service.channel(new_id("tnt")))

    assert not (await other.ListLogs(pb.ListLogsRequest())).logs


async def test_all_that_is_wrong_with_a_call_is_told_at_once(stub):
    """
    One violation for each field, by path.
    """
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.AppendLogs(pb.AppendLogsRequest(logs=[pb.IntegrationLog(details="[")]))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("token", ["!", "eyJ0aW1lIjoieCIsImlkIjoieSJ9", "eyJ0aW1lIjo1LCJpZCI6MX0"])
async def test_a_made_up_page_token_is_refused(stub, token):
    """
    A token of another list, or of nobody, is the caller's mistake.
    """
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListLogs(pb.ListLogsRequest(page_token=token))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_time_that_no_calendar_has_is_refused(stub):
    """
    A hostile timestamp is the caller's mistake, told with its field.
    """
    request = pb.ListLogsRequest()
    request.start_time.seconds = 1 << 60

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListLogs(request)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "start_time" in caught.value.details()


async def test_usage_is_added_up_by_the_hour_once(stub):
    """
    A sample that comes twice counts once.
    """
    sample = pb.UsageSample(sample_id=new_id("smp"), instance_id="ins_1", api_calls=4, response_time_ms=100)
    sample.time.FromDatetime(NOON)
    failed = pb.UsageSample(
        sample_id=new_id("smp"), instance_id="ins_1", is_failure=True, is_unavailable=True
    )
    failed.time.FromDatetime(NOON)

    for _ in range(2):
        await stub.RecordUsage(pb.RecordUsageRequest(samples=[sample, failed]))

    [hour] = (await stub.ListMetrics(pb.ListMetricsRequest(instance_id="ins_1"))).metrics
    assert (hour.total_operations, hour.api_calls, hour.error_rate) == (2, 4, 0.5)
    assert (hour.average_response_time_ms, hour.availability_percentage) == (25.0, 50.0)


def event(verb, tenant, execution="exe_1", **execution_fields):
    data = {
        "execution": {"executionId": execution, "flowName": "f", **execution_fields},
        "sourceInstanceId": "ins_1",
        "destinationInstanceId": "hub",
    }
    now = datetime.now(UTC)
    return ReceivedEvent("evt", f"isthmus.scheduling.sync.{verb}.v1", tenant, "", execution, now, data, "")


def test_events_that_end_nothing_are_no_runs():
    """
    A start says nothing about health.
    """
    assert run_of("started", {}, NOON) is None
    assert run_of("failed", event("failed", "t").data, NOON).instances == ("ins_1", "hub")


async def test_health_follows_how_executions_end(service, stub, tenant):
    """
    The last failure decides, and both ends of the flow are told about.
    """
    database = Database(service.settings.database_url.get_secret_value(), "monitoring")
    async with database.tenant(tenant) as conn:
        await remember_run(conn, event("failed", tenant, error={"message": "The vendor is away."}))
    await database.close()

    found = (await stub.GetHealthSummary(pb.GetHealthSummaryRequest())).instances

    assert {item.instance_id for item in found} == {"ins_1", "hub"}
    assert {item.state for item in found} == {pb.InstanceHealth.STATE_FAILING}
    assert "The vendor is away." in found[0].explanation


@pytest.mark.parametrize(
    ("succeeded", "failed", "quarantined", "last", "state"),
    [
        (0, 0, 0, "", HealthState.IDLE),
        (3, 0, 0, "completed", HealthState.HEALTHY),
        (3, 1, 0, "completed", HealthState.DEGRADED),
        (3, 0, 2, "completed", HealthState.DEGRADED),
        (3, 1, 0, "failed", HealthState.FAILING),
    ],
)
def test_health_is_explained(succeeded, failed, quarantined, last, state):
    """
    Each state has a reason that a person can read.
    """
    verdict = judge(InstanceRecord("ins_1", succeeded, failed, quarantined, last, "", None, None))

    assert verdict.state is state
    assert verdict.explanation.endswith(".")
