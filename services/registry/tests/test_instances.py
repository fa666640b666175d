"""Instances over real gRPC and PostgreSQL."""

import json

import psycopg
import pytest
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, Precondition

from .conftest import GOOD, Callers, draft, fault_of, spec

Instance = pb.IntegrationInstance


def update(instance: Instance, **more) -> pb.UpdateInstanceRequest:
    """Ask to replace an instance by itself, but for `more`."""
    same = {
        "instance_id": instance.instance_id,
        "name": instance.name,
        "configuration": instance.configuration,
        "auth_config_id": instance.auth_config_id,
    }
    return pb.UpdateInstanceRequest(**{**same, **more})


@pytest.fixture
async def instance(tenant):
    return (await tenant.CreateInstance(draft(auth_config_id="ath_good"))).instance


async def test_what_was_created_is_read(tenant, instance):
    """
    A new instance waits to be activated and tells its address, revision and version.
    """
    read = (await tenant.GetInstance(pb.GetInstanceRequest(instance_id=instance.instance_id))).instance

    assert read == instance
    assert (read.status, read.configuration_revision, read.etag) == (Instance.STATUS_CONFIGURING, 1, "1")
    assert (read.connection_url, read.connector_version) == ("https://acme.example/api", "1.0.0")
    assert read.version_compatibility == Instance.VERSION_COMPATIBILITY_COMPATIBLE


async def test_repeating_a_creation_makes_one_instance(tenant):
    """
    The same request id gives the first answer; another request under it is refused.
    """
    first = await tenant.CreateInstance(draft(request_id="r1"))
    again = await tenant.CreateInstance(draft(request_id="r1"))
    fault = await fault_of(tenant.CreateInstance(draft("other", request_id="r1")))

    assert again == first
    assert (type(fault), fault.reason) == (Conflict, "REQUEST_ID_REUSED")


async def test_names_are_unique_inside_a_tenant_only(tenant, other, instance):
    """
    Two tenants may call an instance the same, one tenant may not, neither at first nor later.
    """
    await other.CreateInstance(draft())
    second = (await tenant.CreateInstance(draft("second"))).instance
    created = await fault_of(tenant.CreateInstance(draft()))
    renamed = await fault_of(tenant.UpdateInstance(update(second, name="prod")))

    assert (type(created), created.reason) == (AlreadyExists, "INSTANCE_NAME_TAKEN")
    assert renamed.reason == "INSTANCE_NAME_TAKEN"


REFUSED = {
    "no such connector": ({"connector_id": "nobody"}, Missing, "CONNECTOR_UNKNOWN"),
    "no such credential": ({"auth_config_id": "ath_bad"}, Missing, "NOT_FOUND"),
    "does not fit": ({"configuration": {"page_size": 0}}, FixRequest, "CONFIGURATION_INVALID"),
    "holds a secret": ({"configuration": {**GOOD, "token": "t"}}, FixRequest, "SECRET_IN_CONFIGURATION"),
    "hides a secret": ({"configuration": {"password": "p"}}, FixRequest, "SECRET_IN_CONFIGURATION"),
    "no name": ({"name": " "}, FixRequest, "FIELD_INVALID"),
    "a second hub": ({"connector_id": "hub"}, FixRequest, "FIELD_INVALID"),
}


@pytest.mark.parametrize(("more", "kind", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_work_is_not_created(tenant, more, kind, reason):
    """
    Each refusal says by its class and reason what has to be mended.
    """
    fault = await fault_of(tenant.CreateInstance(draft(**more)))

    assert isinstance(fault, kind)
    assert fault.reason == reason or reason == "NOT_FOUND"


@pytest.mark.parametrize(
    "document", ["[]", "{", '{"a": "\\u0000"}', '{"base_url": NaN}', '{"a":' * 80 + "1" + "}" * 80]
)
async def test_what_is_no_configuration_is_not_created(tenant, document):
    """
    Broken, too deep, and unstorable JSON is refused at its field.
    """
    request = pb.CreateInstanceRequest(name="x", connector_id="acme", configuration=document)
    fault = await fault_of(tenant.CreateInstance(request))

    assert (type(fault), fault.reason, fault.path) == (FixRequest, "FIELD_INVALID", "configuration")


async def test_violations_come_with_paths(tenant):
    """
    All that is wrong with a configuration is told at once, by JSON pointer.
    """
    fault = await fault_of(tenant.CreateInstance(draft(configuration={"page_size": "many", "x": 1})))

    assert {violation.path for violation in fault.violations} == {"/base_url", "/page_size", "/x"}


async def test_violations_are_an_answer_when_asked_for(tenant):
    """
    Validating stores nothing and tells the same violations.
    """
    request = pb.ValidateConfigurationRequest(connector_id="acme", configuration='{"token": "t"}')
    answer = await tenant.ValidateConfiguration(request)
    fault = await fault_of(
        tenant.ValidateConfiguration(pb.ValidateConfigurationRequest(connector_id="nobody"))
    )

    assert {(found.path, found.reason) for found in answer.violations} == {
        ("/base_url", "REQUIRED"),
        ("/token", "SECRET_IN_CONFIGURATION"),
    }
    assert fault.reason == "CONNECTOR_UNKNOWN"


async def test_an_update_against_an_old_state_is_refused(tenant, instance):
    """
    Of two changes made from the same state the second is refused.
    """
    request = update(instance, description="new", etag=instance.etag)
    changed = (await tenant.UpdateInstance(request)).instance
    fault = await fault_of(tenant.UpdateInstance(request))

    assert (changed.description, changed.etag, changed.configuration_revision) == ("new", "2", 1)
    assert (type(fault), fault.reason) == (Conflict, "ETAG_MISMATCH")


async def test_an_update_that_changes_nothing_writes_nothing(tenant, instance):
    """
    Applying the same description again leaves etag and revision alone.
    """
    backwards = json.dumps(dict(reversed(json.loads(instance.configuration).items())))
    same = (await tenant.UpdateInstance(update(instance, configuration=backwards))).instance

    assert same == instance


async def test_updates_are_checked_like_creations(tenant, instance):
    """
    Neither a configuration that does not fit nor a credential that is not there is saved.
    """
    wrong = await fault_of(tenant.UpdateInstance(update(instance, configuration="{}")))
    absent = await fault_of(tenant.UpdateInstance(update(instance, auth_config_id="ath_bad")))

    assert wrong.reason == "CONFIGURATION_INVALID"
    assert isinstance(absent, Missing)


async def test_an_inactive_instance_is_deleted_and_twice_is_no_error(tenant, instance):
    """
    A deletion against an old state is refused; without an etag it goes.
    """
    gone = pb.DeleteInstanceRequest(instance_id=instance.instance_id)
    old = await fault_of(
        tenant.DeleteInstance(pb.DeleteInstanceRequest(instance_id=instance.instance_id, etag="9"))
    )
    await tenant.DeleteInstance(gone)
    await tenant.DeleteInstance(gone)
    fault = await fault_of(tenant.GetInstance(pb.GetInstanceRequest(instance_id=instance.instance_id)))

    assert old.reason == "ETAG_MISMATCH"
    assert (type(fault), fault.reason) == (Missing, "INSTANCE_UNKNOWN")


async def test_lists_can_be_narrowed(tenant, instance):
    """
    By connector, name, credential and state; pages put together are the whole.
    """
    second = (await tenant.CreateInstance(draft("second"))).instance

    async def names(**more):
        return [row.name for row in (await tenant.ListInstances(pb.ListInstancesRequest(**more))).instances]

    first = await tenant.ListInstances(pb.ListInstancesRequest(page_size=1))
    assert await names(page_size=1, page_token=first.next_page_token) == [second.name]
    assert await names() == ["prod", "second"]
    assert (
        await names(name="second")
        == await names(statuses=[Instance.STATUS_CONFIGURING], name="second")
        == ["second"]
    )
    assert await names(auth_config_id="ath_good") == ["prod"]
    assert await names(connector_id="other") == await names(statuses=[Instance.STATUS_ACTIVE]) == []


async def test_every_tenant_has_a_hub_that_no_list_shows(tenant):
    """
    The record store can be read like an instance and neither changed nor deleted.
    """
    hub = (await tenant.GetInstance(pb.GetInstanceRequest(instance_id="hub"))).instance
    fault = await fault_of(tenant.UpdateInstance(update(hub, name="mine")))

    assert (hub.connector_id, hub.status) == ("hub", Instance.STATUS_ACTIVE)
    assert (await tenant.ListInstances(pb.ListInstancesRequest())).instances == []
    assert fault.reason == "INSTANCE_UNKNOWN"


async def test_instances_of_other_tenants_do_not_exist(other, instance):
    """
    No RPC about one instance finds that of another tenant; deleting it has no effect.
    """
    its_id = {"instance_id": instance.instance_id}
    await other.DeleteInstance(pb.DeleteInstanceRequest(**its_id))
    calls = [
        other.GetInstance(pb.GetInstanceRequest(**its_id)),
        other.UpdateInstance(update(instance)),
        other.ActivateInstance(pb.ActivateInstanceRequest(**its_id)),
        other.DeactivateInstance(pb.DeactivateInstanceRequest(**its_id)),
        other.DiscoverInstance(pb.DiscoverInstanceRequest(**its_id)),
        other.ResolveHost(pb.ResolveHostRequest(**its_id)),
        other.ListConfigurationRevisions(pb.ListConfigurationRevisionsRequest(**its_id)),
        other.DiffConfiguration(pb.DiffConfigurationRequest(**its_id)),
        other.RollBackConfiguration(pb.RollBackConfigurationRequest(revision=1, **its_id)),
        other.CheckInstance(pb.CheckInstanceRequest(**its_id)).read(),
    ]

    assert {(await fault_of(call)).reason for call in calls} == {"INSTANCE_UNKNOWN"}
    assert (await other.ListInstances(pb.ListInstancesRequest())).instances == []


async def test_other_tenants_cannot_delete(tenant, other, instance):
    """
    An instance outlives the deletion by another tenant.
    """
    await other.DeleteInstance(pb.DeleteInstanceRequest(instance_id=instance.instance_id))

    assert (
        await tenant.GetInstance(pb.GetInstanceRequest(instance_id=instance.instance_id))
    ).instance == instance


async def test_newer_versions_show_at_the_instance(callers, tenant):
    """
    A later version is offered when the configuration fits it, and a warning when it does not.
    """
    name, mesh = "growing", callers.mesh()
    await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=spec(name)))
    made = (await tenant.CreateInstance(draft(connector_id=name))).instance
    seen = []
    for version, schema in [("1.1.0", "{}"), ("2.0.0", '{"required": ["region"]}')]:
        newer = spec(name, version, configuration_schema=schema)
        await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=newer))
        read = await tenant.GetInstance(pb.GetInstanceRequest(instance_id=made.instance_id))
        seen.append(read.instance.version_compatibility)

    assert seen == [
        Instance.VERSION_COMPATIBILITY_UPGRADE_AVAILABLE,
        Instance.VERSION_COMPATIBILITY_INCOMPATIBLE,
    ]


async def test_row_level_security_holds_without_the_servicer(open_mesh):
    """
    The run-time role sees one tenant's rows and everybody's, and no transaction without a tenant sees any.
    """
    async with open_mesh() as mesh:
        service = await mesh.start("registry")
        callers = Callers(service)
        await callers.mesh().RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        await callers.tenant("tnt_a").CreateInstance(draft())
        with psycopg.connect(service.settings.database_url.get_secret_value()) as connection:
            alone = connection.execute("select count(*) from registry.instances").fetchone()
            connection.execute("select set_config('isthmus.tenant', 'tnt_b', false)")
            other = connection.execute("select count(*) from registry.instances").fetchone()
            shared = connection.execute("select count(*) from registry.connectors").fetchone()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    "insert into registry.hosts values ('*', 'h', 'c', '', 'a', now(), now(), 0)"
                )

    assert (alone, other, shared) == ((0,), (0,), (1,))


async def test_active_instances_are_not_deleted(tenant, vendor):
    """
    What flows may be using has to be switched off first.
    """
    made = (await tenant.CreateInstance(draft(connector_id=vendor.connector_id))).instance
    await tenant.ActivateInstance(pb.ActivateInstanceRequest(instance_id=made.instance_id))
    gone = pb.DeleteInstanceRequest(instance_id=made.instance_id)
    fault = await fault_of(tenant.DeleteInstance(gone))
    off = await tenant.DeactivateInstance(pb.DeactivateInstanceRequest(instance_id=made.instance_id))
    await tenant.DeleteInstance(gone)

    assert (type(fault), fault.reason) == (Precondition, "INSTANCE_ACTIVE")
    assert off.instance.status == Instance.STATUS_INACTIVE
