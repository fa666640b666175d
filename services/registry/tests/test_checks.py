"""Checks, activation and discovery against a connector in a host of its own."""

import json

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as cpb
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import FixRequest, Precondition, RetryLater
from isthmus.sdk.limits import Limits
from isthmus.services.registry.settings import RegistrySettings

from .conftest import (
    FAILED,
    GOOD,
    PASSED,
    FakeConnector,
    draft,
    fault_of,
    host_of,
    serve_fake,
    stream_fault_of,
)
from .test_instances import update

Instance = pb.IntegrationInstance


def test_a_check_ends_before_whoever_waits_for_it():
    """
    A system that swallows packets is told by the step that it failed at, not by a call that ran out of time.
    """
    waits = RegistrySettings.model_fields["check_seconds"].default

    assert Limits().check_seconds < waits < 30


@pytest.fixture
async def instance(tenant, vendor):
    return (await tenant.CreateInstance(draft(connector_id=vendor.connector_id))).instance


async def test_steps_arrive_as_they_end(tenant, vendor, instance):
    """
    The host is asked for this tenant's instance and its steps are passed on.
    """
    vendor.fake.steps = [PASSED, FAILED]
    stream = tenant.CheckInstance(pb.CheckInstanceRequest(instance_id=instance.instance_id))
    steps = [answer.step async for answer in stream]

    assert steps == [PASSED, FAILED]
    assert vendor.fake.bindings == [cpb.Binding(instance_id=instance.instance_id)]
    assert vendor.fake.tenants[0].startswith("tnt_")


async def test_a_check_informs_and_changes_nothing(tenant, vendor, instance):
    """
    A failed check leaves its reason, a passed one the time; state and etag stay.
    """
    request = pb.CheckInstanceRequest(instance_id=instance.instance_id)
    read = pb.GetInstanceRequest(instance_id=instance.instance_id)
    vendor.fake.steps = [FAILED]
    assert [answer async for answer in tenant.CheckInstance(request)]
    failed = (await tenant.GetInstance(read)).instance
    vendor.fake.steps = [PASSED]
    assert [answer async for answer in tenant.CheckInstance(request)]
    passed = (await tenant.GetInstance(read)).instance

    assert failed.error_message == "The token was refused. Enter a new one."
    assert (passed.error_message, passed.HasField("last_connected_time")) == ("", True)
    assert failed.status == passed.status == Instance.STATUS_CONFIGURING
    assert failed.etag == passed.etag == instance.etag


async def test_a_configuration_is_tried_before_it_is_saved(tenant, vendor):
    """
    The host gets the configuration and the id of the credential, never the secret.
    """
    request = pb.CheckInstanceRequest(
        connector_id=vendor.connector_id, configuration=json.dumps(GOOD), auth_config_id="ath_good"
    )
    steps = [answer.step async for answer in tenant.CheckInstance(request)]
    binding = vendor.fake.bindings[0]

    assert steps == [PASSED]
    assert (json.loads(binding.configuration), binding.auth_config_id) == (GOOD, "ath_good")
    assert (binding.instance_id, binding.credential) == ("", "")


async def test_what_does_not_fit_is_not_tried(tenant, vendor):
    """
    A configuration that breaks the schema, and a connector that is not there, reach no host.
    """
    wrong = pb.CheckInstanceRequest(connector_id=vendor.connector_id, configuration="{}")
    absent = pb.CheckInstanceRequest(connector_id="nobody", configuration="{}")

    assert (await stream_fault_of(tenant.CheckInstance(wrong))).reason == "CONFIGURATION_INVALID"
    assert (await stream_fault_of(tenant.CheckInstance(absent))).reason == "CONNECTOR_UNKNOWN"
    assert vendor.fake.bindings == []


async def test_activation_follows_the_check(tenant, vendor, instance):
    """
    A failed check puts the instance into error with the reason, a passed one makes it active.
    """
    request = pb.ActivateInstanceRequest(instance_id=instance.instance_id)
    vendor.fake.steps = [PASSED, FAILED]
    failed = await tenant.ActivateInstance(request)
    vendor.fake.steps = [PASSED]
    active = await tenant.ActivateInstance(request)

    assert (failed.instance.status, list(failed.steps)) == (Instance.STATUS_ERROR, [PASSED, FAILED])
    assert failed.instance.error_message == "The token was refused. Enter a new one."
    assert (active.instance.status, active.instance.error_message) == (Instance.STATUS_ACTIVE, "")
    assert active.instance.HasField("last_connected_time")


async def test_a_connector_that_breaks_off_counts_as_failed(tenant, vendor, instance):
    """
    A check that ends with an error is an answer too, with the error as its last step.
    """
    vendor.fake.failure = (grpc.StatusCode.FAILED_PRECONDITION, "The licence has expired.")
    answer = await tenant.ActivateInstance(pb.ActivateInstanceRequest(instance_id=instance.instance_id))

    assert answer.instance.status == Instance.STATUS_ERROR
    assert [step.message for step in answer.steps] == ["The licence has expired."]


async def test_a_connector_without_steps_proves_nothing(tenant, vendor, instance):
    """
    An empty check does not make an instance active.
    """
    vendor.fake.steps = []
    answer = await tenant.ActivateInstance(pb.ActivateInstanceRequest(instance_id=instance.instance_id))

    assert answer.instance.status == Instance.STATUS_ERROR


async def test_a_change_during_the_check_voids_it(tenant, vendor, instance):
    """
    What was checked is not what is configured now, so nothing is activated.
    """

    async def change(_request, _context) -> None:
        other = json.dumps({**GOOD, "page_size": 7})
        await tenant.UpdateInstance(update(instance, configuration=other))

    vendor.fake._note = change
    fault = await fault_of(
        tenant.ActivateInstance(pb.ActivateInstanceRequest(instance_id=instance.instance_id))
    )

    assert fault.reason == "ETAG_MISMATCH"


async def test_streams_are_passed_on(tenant, vendor, instance):
    """
    Discovery hands the page through in both directions.
    """
    found = await tenant.DiscoverInstance(pb.DiscoverInstanceRequest(instance_id=instance.instance_id))

    assert [stream.stream for stream in found.streams] == ["incident"]
    assert found.next_page_token == "more"


async def test_errors_of_the_connector_are_passed_on(tenant, vendor, instance):
    """
    What the connector answers reaches the caller with its class and words.
    """
    vendor.fake.failure = (grpc.StatusCode.FAILED_PRECONDITION, "The system refused the credential.")
    request = pb.DiscoverInstanceRequest(instance_id=instance.instance_id)
    fault = await fault_of(tenant.DiscoverInstance(request))

    assert isinstance(fault, Precondition)
    assert "refused the credential" in fault.message


async def test_the_hub_is_checked_and_discovered_at_the_record_store(tenant, hub):
    """
    The hub needs no host: the record store answers itself, for the caller's tenant.
    """
    found = await tenant.DiscoverInstance(pb.DiscoverInstanceRequest(instance_id="hub"))
    active = await tenant.ActivateInstance(pb.ActivateInstanceRequest(instance_id="hub"))

    assert [stream.stream for stream in found.streams] == ["incident"]
    assert active.instance.instance_id == "hub"
    assert hub.tenants[-1].startswith("tnt_")


async def test_without_a_host_nothing_is_decided(tenant):
    """
    When no host runs, neither check nor activation nor discovery says anything about the instance.
    """
    made = (await tenant.CreateInstance(draft())).instance
    its_id = {"instance_id": made.instance_id}
    faults = [
        await fault_of(tenant.ActivateInstance(pb.ActivateInstanceRequest(**its_id))),
        await fault_of(tenant.DiscoverInstance(pb.DiscoverInstanceRequest(**its_id))),
        await stream_fault_of(tenant.CheckInstance(pb.CheckInstanceRequest(**its_id))),
    ]
    read = (await tenant.GetInstance(pb.GetInstanceRequest(**its_id))).instance

    assert {(type(fault), fault.reason) for fault in faults} == {(RetryLater, "HOST_UNAVAILABLE")}
    assert all(fault.retry_after for fault in faults)
    assert read == made


async def test_a_host_that_died_is_passed_over(callers, tenant, vendor, instance):
    """
    A host that called a moment ago and is gone is forgotten, and the next one answers.
    """
    await vendor.server.stop(None)
    second = FakeConnector()
    server, address = await serve_fake(second)
    busy = host_of(vendor.connector_id, address, running_executions=5)
    await callers.mesh().RegisterHost(pb.RegisterHostRequest(host=busy))
    found = await tenant.DiscoverInstance(pb.DiscoverInstanceRequest(instance_id=instance.instance_id))
    await server.stop(None)

    assert [stream.stream for stream in found.streams] == ["incident"]
    assert len(second.bindings) == 1


async def test_configurations_that_are_no_json_are_not_tried(tenant):
    """
    Broken JSON is refused at its field.
    """
    request = pb.CheckInstanceRequest(connector_id="acme", configuration="{")

    assert isinstance(await stream_fault_of(tenant.CheckInstance(request)), FixRequest)
