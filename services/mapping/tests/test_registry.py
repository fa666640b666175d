"""Schemas by name and version, over gRPC, on a real PostgreSQL."""

import json

import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.mapping.v1 import schemas_pb2
from isthmus.mapping.v1.schema_registry_pb2_grpc import SchemaRegistryServiceStub
from isthmus.mapping.v1.schemas_pb2_grpc import SchemaServiceStub
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
        ('{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}', {"definition"}),
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


async def found(registry, **wanted):
    """What is found, as pairs of subject and path."""
    answer = await registry.SearchSchemas(pb.SearchSchemasRequest(page_size=1000, **wanted))
    return {(one.subject, one.path) for one in answer.fields}


async def test_fields_are_found_by_what_is_said_of_them(registry, add):
    """
    Words, own name, type and class; all that is said has to hold, and models are looked through, too.
    """
    mail = {"type": ["string", "null"], "description": "Where to write to", "x-isthmus-class": "personal"}
    await add(schema(id=INTEGER, home={"type": "object", "properties": {"email": mail}}))
    here = {"prefix": "crm/"}

    assert await found(registry, query="person WRITE", **here) == {("crm/person", "home.email")}
    assert await found(registry, field="MAIL", **here) == {("crm/person", "home.email")}
    assert await found(registry, type="integer", **here) == {("crm/person", "id")}
    assert await found(registry, data_class=4, **here) == {("crm/person", "home.email")}
    assert await found(registry, query="write", type="integer", **here) == set()
    assert ("model/isthmus/alert", "severity") in await found(registry, field="severity")


async def test_pages_of_subjects_and_fields_join_without_gap(registry, add):
    """
    The tenant's own schemas and built-in models come in one order.
    """
    for subject in ("a/first", "Z/last", "zz/last"):
        await add(FIRST, subject=subject)

    async def walked(call, request, items, place):
        seen = []
        while True:
            answer = await call(request)
            seen += [place(one) for one in getattr(answer, items)]
            if not answer.next_page_token:
                return seen
            request.page_token = answer.next_page_token

    subjects = await walked(
        registry.ListSchemaSubjects,
        pb.ListSchemaSubjectsRequest(page_size=7),
        "subjects",
        lambda one: one.subject,
    )
    fields = await walked(
        registry.SearchSchemas,
        pb.SearchSchemasRequest(query="id", page_size=50),
        "fields",
        lambda one: (one.subject, one.path),
    )

    assert subjects == sorted(set(subjects))
    assert {"a/first", "Z/last", "zz/last", "model/isthmus/alert"} <= set(subjects)
    assert fields == sorted(set(fields))


async def test_fields_remember_which_versions_had_them(registry, add):
    """
    Those that are gone as well.
    """
    for definition in (schema(id=TEXT, old=TEXT), schema(id=TEXT)):
        free = pb.SchemaCompatibility(subject="crm/person", level=pb.COMPATIBILITY_LEVEL_NONE)
        await registry.SetSchemaCompatibility(pb.SetSchemaCompatibilityRequest(compatibility=free))
        await add(definition)

    listed = await registry.ListSchemaFields(pb.ListSchemaFieldsRequest(subject="crm/person"))

    assert [(one.path, one.first_version, one.last_version) for one in listed.fields] == [
        ("id", 1, 2),
        ("old", 1, 1),
    ]


async def test_streams_are_kept_as_they_are_discovered(registry, instances):
    """
    The same again adds nothing, another form a version, and going back goes back.
    """
    kept = pb.GetSchemaVersionRequest(subject="stream/ins_1/items")

    async def captured(definition):
        instances.found = [
            connector_pb2.StreamSpec(stream="items", json_schema=definition),
            connector_pb2.StreamSpec(stream="odd", json_schema='{"type": "odd"}'),
        ]
        answer = await registry.CaptureStreams(pb.CaptureStreamsRequest(instance_id="ins_1"))
        assert list(answer.streams_without_schema) == ["odd"]
        return answer.added, (await registry.GetSchemaVersion(kept)).version.version

    assert await captured(FIRST) == (1, 1)
    assert await captured(FIRST) == (0, 1)
    assert await captured(schema(id=INTEGER)) == (1, 2)
    assert await captured(FIRST) == (0, 1)


async def test_what_flows_meet_is_kept_as_well(registry, service, tenant):
    """
    Without anybody asking for it.
    """
    host = SchemaServiceStub(service.channel(tenant=tenant))
    met = {"flow_id": "flw_1", "instance_id": "ins_9", "stream": "items", "reads_everything": True}
    await host.ObserveSchema(schemas_pb2.ObserveSchemaRequest(declared_schema=FIRST, **met))

    kept = await registry.GetSchemaVersion(pb.GetSchemaVersionRequest(subject="stream/ins_9/items"))

    assert json.loads(kept.version.json_schema) == json.loads(FIRST)


async def test_models_are_there_and_nobody_changes_them(registry):
    """
    They can be read and compared with like any other.
    """
    subject = "model/isthmus/alert"
    listed = await registry.ListSchemaSubjects(pb.ListSchemaSubjectsRequest(prefix="model/"))
    version = (await registry.GetSchemaVersion(pb.GetSchemaVersionRequest(subject=subject))).version
    request = pb.CheckSchemaVersionRequest(subject=subject, definition=version.json_schema)
    request.level = pb.COMPATIBILITY_LEVEL_FULL

    assert all(one.is_read_only for one in listed.subjects)
    assert (await registry.CheckSchemaVersion(request)).is_compatible


AVRO = {"type": "record", "name": "Person", "fields": [{"name": "id", "type": "string"}]}


async def test_avro_goes_by_the_rules_of_avro(registry, add, fault_of):
    """
    A field without default cannot be added; what is shown as JSON Schema can be written as Avro again.
    """
    avro = pb.SCHEMA_FORMAT_AVRO
    await add(json.dumps(AVRO), subject="avro/person", format=avro)
    more = {**AVRO, "fields": [*AVRO["fields"], {"name": "age", "type": "int"}]}

    fault = await fault_of(add(json.dumps(more), subject="avro/person", format=avro))
    other = await fault_of(add(FIRST, subject="avro/person"))
    request = pb.ExportSchemaVersionRequest(subject="avro/person", format=pb.SCHEMA_FORMAT_JSON_SCHEMA)
    exported = await registry.ExportSchemaVersion(request)
    await add(exported.definition)
    back = await registry.ExportSchemaVersion(
        pb.ExportSchemaVersionRequest(subject="crm/person", format=avro)
    )

    assert [(one.path, one.reason) for one in fault.violations] == [("age", "FIELD_REQUIRED")]
    assert [one.reason for one in other.violations] == ["FORMAT_OF_SCHEMA_CHANGED"]
    assert json.loads(back.definition) == AVRO
    assert not back.losses


async def test_protobuf_goes_by_numbers(registry, add, fault_of):
    """
    Another kind under the same number is refused; comments and spacing are no other schema.
    """
    text = 'syntax = "proto3"; message Person { string id = 1; }'
    first = await add(text, subject="proto/person", format=pb.SCHEMA_FORMAT_PROTOBUF)
    again = await add(f"// Same\n{text}", subject="proto/person", format=pb.SCHEMA_FORMAT_PROTOBUF)

    fault = await fault_of(
        add(text.replace("string", "int32"), subject="proto/person", format=pb.SCHEMA_FORMAT_PROTOBUF)
    )

    assert (first.is_new, again.is_new) == (True, False)
    assert [(one.path, one.reason) for one in fault.violations] == [("id", "TYPE_NOT_ALLOWED")]
    assert list(json.loads(first.version.json_schema)["properties"]) == ["id"]
