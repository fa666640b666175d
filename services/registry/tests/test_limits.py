"""An instance's own limits over real gRPC and PostgreSQL."""

import json

import pytest
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import FixRequest

from .conftest import GOOD, draft, fault_of, stream_fault_of
from .test_instances import update

LIMITS = {"retry": {"strategy": "fixed", "attempts": 2}, "concurrent": 4, "timeouts": {"read_seconds": 0.5}}
WRONG = '{"retry": {"attempts": 0, "sped": 1}, "rate": "fast", "concurrent": "many"}'


async def test_limits_are_kept(tenant):
    """
    What was set comes back, alone and in a list; a new instance has the defaults.
    """
    made = (await tenant.CreateInstance(draft("own", limits=json.dumps(LIMITS)))).instance
    await tenant.CreateInstance(draft("plain"))
    listed = (await tenant.ListInstances(pb.ListInstancesRequest())).instances

    assert json.loads(made.limits) == LIMITS
    assert [json.loads(instance.limits) for instance in listed] == [LIMITS, {}]


async def test_equal_limits_change_nothing(tenant):
    """
    Another order of the members is no other content.
    """
    made = (await tenant.CreateInstance(draft(limits=json.dumps(LIMITS)))).instance
    turned = json.dumps(dict(reversed(LIMITS.items())))
    same = (await tenant.UpdateInstance(update(made, limits=turned))).instance

    assert (same.configuration_revision, same.etag) == (1, made.etag)


async def test_wrong_limits_are_named_by_their_pointers(tenant):
    """
    Every mistake is told with its place and what to do.
    """
    fault = await fault_of(tenant.CreateInstance(draft(limits=WRONG)))
    told = {violation.path: violation.message for violation in fault.violations}

    assert (type(fault), fault.reason) == (FixRequest, "LIMITS_INVALID")
    assert told == {
        "/limits/concurrent": "Use a whole number for `/limits/concurrent`; it is a text.",
        "/limits/rate": 'Use a text such as "10/s" for `/limits/rate`.',
        "/limits/retry/attempts": "Use 1 or more for `/limits/retry/attempts`.",
        "/limits/retry/sped": "Remove `/limits/retry/sped`, which is not known here; "
        "there are attempts, first_wait_seconds, longest_wait_seconds, strategy, total_seconds.",
    }


@pytest.mark.parametrize("text", ["[]", "{", '{"retry": {"attempts": NaN}}'])
async def test_what_is_no_json_object_is_refused(tenant, text):
    """
    The form is looked at before the content.
    """
    fault = await fault_of(tenant.CreateInstance(draft(limits=text)))

    assert (type(fault), fault.path) == (FixRequest, "limits")


async def test_limits_are_tried_before_they_are_saved(tenant):
    """
    Validating tells mistakes as an answer, checking refuses them.
    """
    given = {"connector_id": "acme", "configuration": json.dumps(GOOD), "limits": '{"max_pages": 0}'}
    answer = await tenant.ValidateConfiguration(pb.ValidateConfigurationRequest(**given))
    fault = await stream_fault_of(tenant.CheckInstance(pb.CheckInstanceRequest(**given)))

    assert [(v.path, v.reason) for v in answer.violations] == [("/limits/max_pages", "OUT_OF_RANGE")]
    assert fault.reason == "LIMITS_INVALID"


async def test_a_check_hands_limits_on(tenant, vendor):
    """
    A configuration that is not saved is tried within its limits.
    """
    request = pb.CheckInstanceRequest(
        connector_id=vendor.connector_id, configuration=json.dumps(GOOD), limits='{"concurrent": 2}'
    )
    async for _ in tenant.CheckInstance(request):
        pass

    assert vendor.fake.bindings[-1].limits == '{"concurrent":2}'
