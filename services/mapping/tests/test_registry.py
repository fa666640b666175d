"""Schemas by name and version, over gRPC, on a real PostgreSQL."""

import json

import pytest
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.mapping.v1.schema_registry_pb2_grpc import SchemaRegistryServiceStub
from isthmus.resilience.faults import FixRequest, Missing, Precondition

TEXT, INTEGER = {"type": "string"}, {"type": "integer"}


def schema(*, required=(), title="", **properties):
    """JSON Schema of records that have no members but these."""
    document = {"type": "object", "properties": properties, "additionalProperties": False}
    return json.dumps(document | {"required": list(required), "title": title or "Person"})


@pytest.fixture
def registry(service, tenant):
    """The service, called as somebody of the tenant."""
    return SchemaRegistryServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def add(registry):
    """Registers a schema and returns the answer."""

    async def add(definition, subject="crm/person", **more):
        request = pb.RegisterSchemaVersionRequest(subject=subject, definition=definition, **more)
        return await registry.RegisterSchemaVersion(request)

    return add


async def test_the_same_schema_is_added_once(registry, add):
    """
    Order and spacing of its text do not count.
    """
    first = await add(schema(id=TEXT, note=TEXT))
    again = await add(json.dumps(json.loads(schema(note=TEXT, id=TEXT)), indent=2))
    listed = await registry.ListSchemaSubjects(pb.ListSchemaSubjectsRequest(prefix="crm/"))

    assert (first.is_new, again.is_new) == (True, False)
    assert again.version == first.version
    assert [(one.subject, one.latest_version, one.title) for one in listed.subjects] == [
        ("crm/person", 1, "Person")
    ]


async def test_a_version_that_does_not_go_with_those_before_is_refused_with_every_reason(
    registry, add, fault_of
):
    """
    Path, rule and remedy of each, and nothing is added.
    """
    await add(schema(id=TEXT, note=TEXT))
    wrong = schema(required=["name"], id=INTEGER, name=TEXT)

    fault = await fault_of(add(wrong))
    checked = await registry.CheckSchemaVersion(
        pb.CheckSchemaVersionRequest(subject="crm/person", definition=wrong)
    )

    assert isinstance(fault, FixRequest)
    assert fault.reason == "SCHEMA_INCOMPATIBLE"
    expected = {("id", "TYPE_NOT_ALLOWED"), ("name", "FIELD_REQUIRED"), ("note", "FIELD_NOT_ALLOWED")}
    assert {(one.path, one.reason) for one in fault.violations} == expected
    assert {(one.path, one.rule) for one in checked.incompatibilities} == expected
    assert all(one.remedy and one.version == 1 for one in checked.incompatibilities)
    versions = await registry.ListSchemaVersions(pb.ListSchemaVersionsRequest(subject="crm/person"))
    assert [one.version for one in versions.versions] == [1]


FIRST, SECOND, THIRD = schema(id=TEXT), schema(id=TEXT, a=TEXT), schema(id=TEXT, a=TEXT, b=TEXT)


@pytest.mark.parametrize(
    ("level", "good", "bad"),
    [
        ("NONE", schema(id=INTEGER), ""),
        ("BACKWARD", THIRD, schema(id=TEXT, b=TEXT)),
        ("BACKWARD_TRANSITIVE", THIRD, schema(required=["a"], id=TEXT, a=TEXT)),
        ("FORWARD", schema(id=TEXT), THIRD),
        ("FORWARD_TRANSITIVE", schema(id={"const": "x"}), schema(a=TEXT)),
        ("FULL", schema(id=TEXT, a=TEXT, title="Same"), THIRD),
        ("FULL_TRANSITIVE", "", schema(id=TEXT, a=TEXT, title="Same")),
    ],
)
async def test_each_level_asks_for_what_it_says(registry, add, level, good, bad):
    """
    A level that is asked for goes before what is set; transitive ones look at all versions.
    """
    await add(FIRST)
    await add(SECOND)
    wanted = pb.CompatibilityLevel.Value(f"COMPATIBILITY_LEVEL_{level}")

    async def goes(definition):
        request = pb.CheckSchemaVersionRequest(subject="crm/person", definition=definition, level=wanted)
        return (await registry.CheckSchemaVersion(request)).is_compatible

    assert not good or await goes(good)
    assert not bad or not await goes(bad)


async def test_what_a_subject_does_not_say_the_tenant_says(registry, add):
    """
    And where that says nothing either, versions read what was written by the one before.
    """

    async def held(subject, level=0, policy=0):
        wanted = pb.SchemaCompatibility(subject=subject, level=level, policy=policy)
        await registry.SetSchemaCompatibility(pb.SetSchemaCompatibilityRequest(compatibility=wanted))
        request = pb.GetSchemaCompatibilityRequest(subject="crm/person")
        found = (await registry.GetSchemaCompatibility(request)).effective
        return found.level, found.policy

    backward, full, none = (
        pb.COMPATIBILITY_LEVEL_BACKWARD,
        pb.COMPATIBILITY_LEVEL_FULL,
        pb.COMPATIBILITY_LEVEL_NONE,
    )
    strict, lenient = pb.COMPATIBILITY_POLICY_STRICT, pb.COMPATIBILITY_POLICY_LENIENT

    assert await held("other") == (backward, strict)
    assert await held("", full, lenient) == (full, lenient)
    assert await held("crm/person", none) == (none, lenient)
    await add(schema(id=TEXT))
    assert (await add(schema(id=INTEGER))).version.version == 2


async def test_a_number_is_not_given_twice(registry, add, fault_of):
    """
    What is deleted is gone, and the newest of what is left is the newest.
    """
    await add(FIRST)
    await add(SECOND)
    await registry.DeleteSchemaVersion(pb.DeleteSchemaVersionRequest(subject="crm/person", version=2))

    newest = await registry.GetSchemaVersion(pb.GetSchemaVersionRequest(subject="crm/person"))
    again = await add(SECOND)
    fault = await fault_of(
        registry.GetSchemaVersion(pb.GetSchemaVersionRequest(subject="crm/person", version=2))
    )

    assert newest.version.version == 1
    assert (again.version.version, again.is_new) == (3, True)
    assert isinstance(fault, Missing)


async def test_a_deprecated_version_says_why_and_stays(registry, add):
    """
    It can be taken back, which takes the reason back as well.
    """
    await add(FIRST)
    request = pb.SetSchemaVersionStatusRequest(subject="crm/person", version=1, note="use 2")
    request.status = pb.SchemaVersion.STATUS_DEPRECATED

    marked = (await registry.SetSchemaVersionStatus(request)).version
    request.status = pb.SchemaVersion.STATUS_AVAILABLE
    good = (await registry.SetSchemaVersionStatus(request)).version

    assert (marked.status, marked.status_note) == (pb.SchemaVersion.STATUS_DEPRECATED, "use 2")
    assert (good.status, good.status_note) == (pb.SchemaVersion.STATUS_AVAILABLE, "")


@pytest.mark.parametrize(
    ("definition", "places"),
    [
        ("{", {"definition"}),
        ('{"type": "text"}', {"definition/type"}),
        ('{"$ref": "#/$defs/none"}', {"definition/$ref"}),
        ('{"$schema": "http://json-schema.org/draft-07/schema#"}', {"definition/$schema"}),
        (
            '{"properties": {"a": {"minimum": "1"}, "b": {"type": 1}}}',
            {"definition/properties/a/minimum", "definition/properties/b/type"},
        ),
    ],
)
async def test_what_is_no_schema_is_refused_with_its_place(add, fault_of, definition, places):
    """
    All places at once.
    """
    fault = await fault_of(add(definition))

    assert {one.path for one in fault.violations} == places


async def test_names_of_streams_and_models_are_not_for_everybody(add, fault_of):
    """
    What Isthmus keeps under these names is not mixed with what people register.
    """
    for subject in ("stream/ins_1/items", "model/ocsf/x"):
        fault = await fault_of(add(FIRST, subject=subject))

        assert isinstance(fault, Precondition)
        assert fault.reason == "SUBJECT_RESERVED"


async def test_another_tenant_has_names_of_its_own(service, add, fault_of):
    """
    The same name is another schema there, or none.
    """
    await add(FIRST)
    stranger = SchemaRegistryServiceStub(service.channel(tenant="tnt_somebody_else"))

    fault = await fault_of(stranger.GetSchemaVersion(pb.GetSchemaVersionRequest(subject="crm/person")))

    assert fault.reason == "SCHEMA_UNKNOWN"
