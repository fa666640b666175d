"""What tenants may have and do at most, over real gRPC and PostgreSQL."""

import asyncio

import pytest
from isthmus.identity.v1 import identity_pb2, users_pb2, users_pb2_grpc
from isthmus.identity.v1 import quotas_pb2 as pb
from isthmus.identity.v1 import quotas_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Conflict, FixRequest, LimitReached, Missing, NotAllowed

from .conftest import fault_of


@pytest.fixture
def operator(callers):
    """Who runs the installation."""
    return pb_grpc.QuotasServiceStub(
        callers.service.channel("", ("identity.quotas.*", "identity.tenants.create"), mesh=True)
    )


@pytest.fixture
def own(callers, tenant):
    """The tenant's administrator."""
    return pb_grpc.QuotasServiceStub(callers.service.channel(api_key=tenant.api_key))


async def limit(operator, tenant, **quotas):
    """Set quotas before any credential of the tenant is known to the service."""
    request = pb.SetTenantQuotasRequest(tenant_id=tenant.tenant_id, quotas=pb.Quotas(**quotas))
    return await operator.SetTenantQuotas(request)


async def test_what_is_set_holds_and_the_rest_has_defaults(operator, own, tenant):
    """
    A tenant sees its own quotas, and how much of them is used.
    """
    before = await own.GetTenantQuotas(pb.GetTenantQuotasRequest())
    await limit(operator, tenant, flows=7, users=-1)
    after = await own.GetTenantQuotas(pb.GetTenantQuotasRequest())

    assert before.effective.flows == 10_000
    assert (after.quotas.flows, after.effective.flows) == (7, 7)
    assert not after.effective.HasField("users")
    assert (after.used.service_accounts, after.used.api_keys) == (1, 1)


async def test_a_tenant_cannot_help_itself(operator, own, tenant, other):
    """
    Quotas are set by who runs the installation, and those of others are nobody's business.
    """
    raised = await fault_of(own.SetTenantQuotas(pb.SetTenantQuotasRequest(quotas=pb.Quotas(flows=9))))
    foreign = await fault_of(own.GetTenantQuotas(pb.GetTenantQuotasRequest(tenant_id=other.tenant_id)))

    assert isinstance(raised, NotAllowed)
    assert (type(foreign), foreign.reason) == (Missing, "TENANT_UNKNOWN")


@pytest.mark.parametrize(
    "quotas", [{"flows": -2}, {"executions": 0}, {"users": 1 << 60}], ids=["below", "standstill", "above"]
)
async def test_no_quota_is_odd(operator, tenant, quotas):
    """
    What no quota can be is refused with its name.
    """
    refused = await fault_of(limit(operator, tenant, **quotas))

    assert (type(refused), refused.path) == (FixRequest, f"quotas.{next(iter(quotas))}")


async def test_two_who_change_the_same_quotas(operator, tenant):
    """
    The second one is told that somebody was faster.
    """
    await limit(operator, tenant, flows=7)
    request = pb.SetTenantQuotasRequest(tenant_id=tenant.tenant_id, etag="0")

    assert isinstance(await fault_of(operator.SetTenantQuotas(request)), Conflict)


async def test_no_more_is_made_than_the_quota_allows(callers, operator, tenant):
    """
    However many ask at once: there are never more service accounts than there may be, nor users.
    """
    await limit(operator, tenant, service_accounts=4, users=0)
    users = users_pb2_grpc.UsersServiceStub(callers.service.channel(api_key=tenant.api_key))
    made = await asyncio.gather(
        *(
            tenant.admin.CreateServiceAccount(
                identity_pb2.CreateServiceAccountRequest(name=f"a{number}", roles=["auditor"])
            )
            for number in range(12)
        ),
        return_exceptions=True,
    )
    refused = await fault_of(
        tenant.admin.CreateServiceAccount(
            identity_pb2.CreateServiceAccountRequest(name="late", roles=["auditor"])
        )
    )
    nobody = await fault_of(users.CreateUser(users_pb2.CreateUserRequest(name="ann", roles=["auditor"])))

    assert len([one for one in made if not isinstance(one, BaseException)]) == 3
    assert (type(refused), refused.reason) == (LimitReached, "QUOTA_EXCEEDED")
    assert refused.metadata.items() >= {"quota": "service_accounts", "limit": "4", "used": "4"}.items()
    assert nobody.metadata["quota"] == "users"


async def test_services_learn_quotas_with_the_caller(callers, operator, tenant):
    """
    Who asks whose key it is hears what its tenant may do.
    """
    await limit(operator, tenant, calls_per_minute=600)
    asked = identity_pb2.AuthenticateCallerRequest(api_key=tenant.api_key)
    answer = await callers.mesh().AuthenticateCaller(asked)

    assert answer.quotas.calls_per_minute == 600


def counted(**counts):
    """What a process reports."""
    found = [pb.UsageCount(quota=name, count=count) for name, count in counts.items()]
    return pb.ReportUsageRequest(counts=found)


async def test_what_processes_count_is_brought_together(callers, operator, own, tenant):
    """
    Replicas' counts add up, what is held is told as it is, and each service counts calls for itself.
    """
    await limit(operator, tenant, events_per_day=100)
    for subject in ("service:records", "service:events"):
        channel = callers.service.channel(
            tenant.tenant_id, ("identity.usage.report",), subject=subject, mesh=True
        )
        answer = await pb_grpc.QuotasServiceStub(channel).ReportUsage(
            counted(events_per_day=30, calls_per_minute=90, stored_records=5)
        )

    told = {one.quota: one for one in (await own.GetUsage(pb.GetUsageRequest())).usage}

    assert answer.effective.events_per_day == 100
    assert {one.quota: one.count for one in answer.used}["events_per_day"] == 60
    assert (told["events_per_day"].used, told["events_per_day"].is_set) == (60, True)
    assert (told["stored_records"].used, told["service_accounts"].used) == (5, 1)
    assert told["calls_per_minute"].used <= 90
    assert not told["flows"].HasField("used")


async def test_only_known_quotas_are_reported(callers, tenant):
    """
    A process cannot make up quotas, nor take back what it has counted.
    """
    channel = callers.service.channel(tenant.tenant_id, ("identity.usage.report",), mesh=True)
    stub = pb_grpc.QuotasServiceStub(channel)
    unknown = await fault_of(stub.ReportUsage(counted(air=1)))
    below = await fault_of(stub.ReportUsage(counted(events_per_day=-1)))

    assert isinstance(unknown, FixRequest)
    assert isinstance(below, FixRequest)
