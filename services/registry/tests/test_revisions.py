"""The history of a configuration over real gRPC and PostgreSQL."""

import json

import pytest
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import Conflict, FixRequest, Missing

from .conftest import GOOD, draft, fault_of, spec
from .test_instances import update


@pytest.fixture
async def changed(tenant):
    """An instance with three revisions: sizes 1, 2, 3."""
    made = (await tenant.CreateInstance(draft(configuration={**GOOD, "page_size": 1}))).instance
    for size in (2, 3):
        newer = update(made, configuration=json.dumps({**GOOD, "page_size": size}))
        made = (await tenant.UpdateInstance(newer)).instance
    return made


async def test_each_change_makes_a_revision(tenant, changed):
    """
    Revisions are listed newest first, page by page, each with its configuration.
    """
    its_id = {"instance_id": changed.instance_id, "page_size": 2}
    first = await tenant.ListConfigurationRevisions(pb.ListConfigurationRevisionsRequest(**its_id))
    token = first.next_page_token
    rest = await tenant.ListConfigurationRevisions(
        pb.ListConfigurationRevisionsRequest(page_token=token, **its_id)
    )
    rows = [*first.revisions, *rest.revisions]

    assert [(row.revision, json.loads(row.configuration)["page_size"]) for row in rows] == [
        (3, 3),
        (2, 2),
        (1, 1),
    ]


async def test_another_credential_makes_a_revision(tenant, changed):
    """
    A revision remembers the credential of its time.
    """
    newer = (await tenant.UpdateInstance(update(changed, auth_config_id="ath_good"))).instance
    request = pb.ListConfigurationRevisionsRequest(instance_id=changed.instance_id, page_size=2)
    rows = (await tenant.ListConfigurationRevisions(request)).revisions

    assert newer.configuration_revision == 4
    assert [row.auth_config_id for row in rows] == ["ath_good", ""]


@pytest.mark.parametrize(
    ("from_revision", "to_revision", "sizes"), [(0, 0, ("2", "3")), (1, 0, ("1", "3")), (0, 1, ("", "1"))]
)
async def test_differences_are_told_field_by_field(tenant, changed, from_revision, to_revision, sizes):
    """
    By default the last change is told; the first revision differs from nothing at all.
    """
    request = pb.DiffConfigurationRequest(
        instance_id=changed.instance_id, from_revision=from_revision, to_revision=to_revision
    )
    changes = (await tenant.DiffConfiguration(request)).changes

    assert [(c.before, c.after) for c in changes if c.path == "/page_size"] == [sizes]


async def test_going_back_makes_a_new_revision(tenant, changed):
    """
    Rolling back keeps all history and says where it went back to.
    """
    back = pb.RollBackConfigurationRequest(instance_id=changed.instance_id, revision=1, etag=changed.etag)
    instance = (await tenant.RollBackConfiguration(back)).instance
    old = await fault_of(tenant.RollBackConfiguration(back))
    listed = pb.ListConfigurationRevisionsRequest(instance_id=changed.instance_id)
    newest = (await tenant.ListConfigurationRevisions(listed)).revisions[0]

    assert json.loads(instance.configuration)["page_size"] == 1
    assert (newest.revision, newest.rolled_back_to) == (4, 1)
    assert (type(old), old.reason) == (Conflict, "ETAG_MISMATCH")


async def test_revisions_that_never_were_are_unknown(tenant, changed):
    """
    Neither a difference from nor a way back to a revision that is not there.
    """
    its_id = {"instance_id": changed.instance_id}
    differ = await fault_of(tenant.DiffConfiguration(pb.DiffConfigurationRequest(to_revision=9, **its_id)))
    back = await fault_of(tenant.RollBackConfiguration(pb.RollBackConfigurationRequest(revision=9, **its_id)))

    assert (type(differ), differ.reason, back.reason) == (Missing, "REVISION_UNKNOWN", "REVISION_UNKNOWN")


async def test_what_no_longer_fits_is_not_gone_back_to(callers, tenant):
    """
    An old configuration has to fit the connector's present schema.
    """
    name, mesh = "narrowing", callers.mesh()
    await mesh.RegisterConnector(
        pb.RegisterConnectorRequest(spec=spec(name, configuration_schema='{"type":"object"}'))
    )
    made = (await tenant.CreateInstance(draft(connector_id=name, configuration={}))).instance
    narrow = spec(name, "2.0.0", configuration_schema='{"required": ["region"]}')
    await mesh.RegisterConnector(pb.RegisterConnectorRequest(spec=narrow))
    await tenant.UpdateInstance(update(made, configuration='{"region": "eu"}'))
    back = pb.RollBackConfigurationRequest(instance_id=made.instance_id, revision=1)
    fault = await fault_of(tenant.RollBackConfiguration(back))

    assert (type(fault), fault.reason) == (FixRequest, "CONFIGURATION_INVALID")


async def test_limits_make_revisions_and_are_gone_back_to(tenant, changed):
    """
    Other limits are another revision; differences stand under /limits, and going back restores them.
    """
    patient = update(changed, limits='{"retry": {"attempts": 9}, "rate": "5/s"}')
    newer = (await tenant.UpdateInstance(patient)).instance
    its_id = {"instance_id": changed.instance_id}
    changes = (await tenant.DiffConfiguration(pb.DiffConfigurationRequest(**its_id))).changes
    back = pb.RollBackConfigurationRequest(revision=3, **its_id)
    plain = (await tenant.RollBackConfiguration(back)).instance
    rows = (await tenant.ListConfigurationRevisions(pb.ListConfigurationRevisionsRequest(**its_id))).revisions

    assert (newer.configuration_revision, json.loads(newer.limits)["rate"]) == (4, "5/s")
    assert [(c.path, c.before, c.after) for c in changes] == [
        ("/limits/rate", "", '"5/s"'),
        ("/limits/retry", "", '{"attempts": 9}'),
    ]
    assert (plain.configuration_revision, plain.limits) == (5, "{}")
    assert [json.loads(row.limits).get("rate") for row in rows] == [None, "5/s", None, None, None]
