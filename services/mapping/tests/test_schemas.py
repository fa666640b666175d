"""Schemas that flows meet, over gRPC, on a real PostgreSQL."""

import json

import pytest
from isthmus.mapping.v1 import schemas_pb2 as pb
from isthmus.mapping.v1.schemas_pb2_grpc import SchemaServiceStub
from isthmus.resilience.faults import FixRequest, Missing, Precondition

Verdict = pb.ObserveSchemaResponse
Status = pb.SchemaChange
Decision = pb.DecideSchemaChangeRequest
TEXT, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def schema(**properties):
    """JSON Schema of records that have all of these members."""
    document = {"type": "object", "properties": properties, "required": sorted(properties)}
    return json.dumps(document)


class Host:
    """Observes a stream of one flow, as hosts do."""

    def __init__(self, stub):
        self.stub = stub

    async def start(self, declared="", *, paths=("id", "level"), mapping="m1", key=("id",), flow="flw_1"):
        """Begin an attempt."""
        return await self.stub.ObserveSchema(
            self._request(flow, paths, mapping, key, declared_schema=declared)
        )

    async def page(self, seen, records=100, *, paths=("id", "level"), mapping="m1", flow="flw_1"):
        """Meet a page."""
        request = self._request(flow, paths, mapping, ("id",), seen_schema=seen, seen_records=records)
        return await self.stub.ObserveSchema(request)

    def _request(self, flow, paths, mapping, key, **more):
        return pb.ObserveSchemaRequest(
            flow_id=flow,
            instance_id="ins_1",
            stream="items",
            primary_key=key,
            source_paths=paths or (),
            reads_everything=paths is None,
            mapping_fingerprint=mapping,
            **more,
        )

    async def open_change(self):
        """The change that is open."""
        request = pb.ListSchemaChangesRequest(flow_id="flw_1", is_open_only=True)
        [change] = (await self.stub.ListSchemaChanges(request)).changes
        return change

    async def decide(self, change_id, decision):
        """Decide as a person does."""
        request = pb.DecideSchemaChangeRequest(change_id=change_id, decision=decision)
        return (await self.stub.DecideSchemaChange(request)).change

    async def policy(self, **values):
        """Set the flow's policy."""
        policy = pb.SchemaPolicy(flow_id="flw_1", **values)
        await self.stub.SetSchemaPolicy(pb.SetSchemaPolicyRequest(policy=policy))


@pytest.fixture
def schemas(service, tenant):
    """The service, called as somebody of the tenant."""
    return SchemaServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def host(schemas):
    """A host that carries out a flow."""
    return Host(schemas)


BEFORE = schema(id=INTEGER, level=TEXT, note=TEXT)


async def test_the_first_schema_is_remembered(host, schemas):
    """
    The source's own, and what records show besides; whoever asks again gets the same.
    """
    first = await host.start(schema(id=INTEGER))
    page = await host.page(schema(id=INTEGER, level=TEXT))
    again = await host.start(schema(id=INTEGER))

    [known] = (await schemas.ListSchemas(pb.ListSchemasRequest(flow_id="flw_1"))).schemas
    assert [one.verdict for one in (first, page, again)] == [Verdict.VERDICT_PASS] * 3
    assert set(json.loads(again.json_schema)["properties"]) == {"id", "level"}
    assert known.is_declared
    assert (known.json_schema, known.change_id) == (again.json_schema, "")


ADDITIVE = {
    "added": schema(id=INTEGER, level=TEXT, note=TEXT, more=TEXT),
    "unread gone": schema(id=INTEGER, level=TEXT),
    "unread changed": schema(id=INTEGER, level=TEXT, note=INTEGER),
    "null": schema(id=INTEGER, level={"type": ["string", "null"]}, note=TEXT),
}
BREAKING = {
    "gone": (schema(id=INTEGER, note=TEXT), "KIND_FIELD_REMOVED"),
    "changed": (schema(id=INTEGER, level=INTEGER, note=TEXT), "KIND_TYPE_CHANGED"),
    "key widened": (schema(id=NUMBER, level=TEXT, note=TEXT), "KIND_WIDENED"),
}


@pytest.mark.parametrize("way", ["declared", "seen"])
@pytest.mark.parametrize("case", ADDITIVE)
async def test_what_harms_nothing_passes_and_is_reported_once(host, schemas, way, case):
    """
    Whether the source says it or records show it.
    """
    meet = host.start if way == "declared" else host.page
    await meet(BEFORE)

    done = await meet(ADDITIVE[case])
    again = await meet(ADDITIVE[case])

    [listed] = (await schemas.ListSchemaChanges(pb.ListSchemaChangesRequest(flow_id="flw_1"))).changes
    assert [one.verdict for one in (done, again)] == [Verdict.VERDICT_PASS] * 2
    assert done.change.status == Status.STATUS_PASSED
    assert not again.HasField("change")
    assert listed == done.change


@pytest.mark.parametrize("way", ["declared", "seen"])
@pytest.mark.parametrize("case", BREAKING)
async def test_what_harms_stops_until_it_is_accepted(host, schemas, way, case):
    """
    Asking again changes nothing; with the decision the new schema is expected.
    """
    after, kind = BREAKING[case]
    meet = host.start if way == "declared" else host.page
    await meet(BEFORE)

    stopped = await meet(after)
    started = await host.start(after if way == "declared" else "")
    change = await host.open_change()
    decided = await host.decide(change.change_id, Decision.DECISION_ACCEPT)
    onward = await meet(after)

    shown = (await schemas.GetSchemaChange(pb.GetSchemaChangeRequest(change_id=change.change_id))).change
    assert [one.verdict for one in (stopped, started)] == [Verdict.VERDICT_STOP] * 2
    assert [pb.SchemaDifference.Kind.Name(one.kind) for one in change.differences if one.is_breaking] == [
        kind
    ]
    assert (decided.status, decided.decided_by) == (Status.STATUS_ACCEPTED, "service_account:svc_test")
    assert onward.verdict == Verdict.VERDICT_PASS
    assert json.loads(shown.before_schema)
    assert json.loads(shown.after_schema)


async def test_another_key_stops(host):
    """
    Records would be taken for others.
    """
    await host.start(BEFORE)

    stopped = await host.start(BEFORE, key=("note",))
    back = await host.start(BEFORE)

    assert stopped.verdict == Verdict.VERDICT_STOP
    assert stopped.change.differences[0].kind == pb.SchemaDifference.KIND_KEY_CHANGED
    assert back.verdict == Verdict.VERDICT_PASS


async def test_what_the_source_takes_back_stops_nothing(host, schemas):
    """
    The flow goes on without a decision.
    """
    await host.start(BEFORE)
    stopped = await host.start(BREAKING["gone"][0])

    back = await host.start(BEFORE)

    request = pb.GetSchemaChangeRequest(change_id=stopped.change.change_id)
    assert back.verdict == Verdict.VERDICT_PASS
    assert (await schemas.GetSchemaChange(request)).change.status == Status.STATUS_WITHDRAWN


async def test_quarantine_goes_on_with_records_that_fit(host):
    """
    Decided by a person, and then for every attempt.
    """
    await host.page(BEFORE)
    stopped = await host.page(BREAKING["changed"][0])
    await host.decide(stopped.change.change_id, Decision.DECISION_QUARANTINE)

    started = await host.start()
    page = await host.page(BEFORE)

    assert [one.verdict for one in (started, page)] == [Verdict.VERDICT_QUARANTINE] * 2
    assert started.change.differences[0].path == "level"
    assert json.loads(started.json_schema) == json.loads(page.json_schema)


async def test_what_harms_nothing_is_reported_while_records_are_put_aside(host, schemas):
    """
    Hosts are told of the records to put aside all the same.
    """
    await host.page(BEFORE)
    stopped = await host.page(BREAKING["changed"][0])
    await host.decide(stopped.change.change_id, Decision.DECISION_QUARANTINE)

    page = await host.page(ADDITIVE["added"])

    listed = (await schemas.ListSchemaChanges(pb.ListSchemaChangesRequest(flow_id="flw_1"))).changes
    assert (page.verdict, page.change.change_id) == (Verdict.VERDICT_QUARANTINE, stopped.change.change_id)
    assert {one.status for one in listed} == {Status.STATUS_QUARANTINING, Status.STATUS_PASSED}


async def test_a_policy_may_quarantine_without_asking(host):
    """
    And stop at what harms nothing.
    """
    await host.policy(breaking=pb.SchemaPolicy.REACTION_QUARANTINE, additive=pb.SchemaPolicy.REACTION_STOP)
    await host.page(BEFORE)

    additive = await host.page(ADDITIVE["added"])
    await host.decide(additive.change.change_id, Decision.DECISION_ACCEPT)
    breaking = await host.page(BREAKING["changed"][0])

    assert additive.verdict == Verdict.VERDICT_STOP
    assert breaking.verdict == Verdict.VERDICT_QUARANTINE


async def test_quarantine_is_for_changes_that_records_show(host, fault_of):
    """
    No record tells that the key is another one.
    """
    await host.start(BEFORE)
    stopped = await host.start(BEFORE, key=("note",))

    fault = await fault_of(host.decide(stopped.change.change_id, Decision.DECISION_QUARANTINE))

    assert (type(fault), fault.reason) == (Precondition, "QUARANTINE_IMPOSSIBLE")


async def test_a_mapping_that_does_without_lets_the_flow_go_on(host):
    """
    At once where it does not read the field; after the decision to map, whatever it reads.
    """
    await host.page(BEFORE)
    await host.page(BREAKING["gone"][0])
    still = await host.start(mapping="m2")
    without = await host.start(mapping="m3", paths=("id",))

    changed = await host.page(BREAKING["key widened"][0])
    await host.decide(changed.change.change_id, Decision.DECISION_MAP)
    waits = await host.start()
    mapped = await host.start(mapping="m4")

    assert [one.verdict for one in (still, without)] == [Verdict.VERDICT_STOP, Verdict.VERDICT_PASS]
    assert [one.verdict for one in (waits, mapped)] == [Verdict.VERDICT_STOP, Verdict.VERDICT_PASS]


async def test_a_further_change_is_told_together_with_the_first(host):
    """
    One decision is about all that has changed since.
    """
    await host.page(BEFORE)
    await host.page(BREAKING["changed"][0])
    await host.page(schema(id=TEXT, level=TEXT, note=TEXT))

    change = await host.open_change()

    assert {one.path for one in change.differences} == {"id", "level"}


async def test_dropped_fields_stay_unknown(host):
    """
    Each is reported once.
    """
    await host.policy(unknown_fields=pb.SchemaPolicy.NEW_FIELDS_DROP)
    await host.page(BEFORE, paths=None)

    first = await host.page(ADDITIVE["added"], paths=None)
    again = await host.page(ADDITIVE["added"], paths=None)

    assert first.unknown_fields == pb.SchemaPolicy.NEW_FIELDS_DROP
    assert [one.path for one in first.change.differences] == ["more"]
    assert not again.HasField("change")
    assert set(json.loads(again.json_schema)["properties"]) == {"id", "level", "note"}


async def test_few_records_do_not_tell_that_a_field_is_gone(host):
    """
    Until as many have come that it can be no accident.
    """
    await host.page(BEFORE, 30)

    few = await host.page(BREAKING["gone"][0], 2)
    many = await host.page(BREAKING["gone"][0], 10)

    assert [one.verdict for one in (few, many)] == [Verdict.VERDICT_PASS, Verdict.VERDICT_STOP]


async def test_decisions_are_about_changes_that_are_open(host, fault_of):
    """
    Deciding the same twice is none.
    """
    await host.page(BEFORE)
    stopped = await host.page(BREAKING["gone"][0])
    first = await host.decide(stopped.change.change_id, Decision.DECISION_ACCEPT)

    again = await host.decide(stopped.change.change_id, Decision.DECISION_ACCEPT)
    late = await fault_of(host.decide(stopped.change.change_id, Decision.DECISION_MAP))
    unknown = await fault_of(host.decide("chg_0", Decision.DECISION_MAP))

    assert again == first
    assert (type(late), late.reason) == (Precondition, "SCHEMA_CHANGE_OVER")
    assert (type(unknown), unknown.reason) == (Missing, "SCHEMA_CHANGE_UNKNOWN")


async def test_lists_come_page_by_page(host, schemas):
    """
    Schemas by flow, changes newest first.
    """
    for flow in ("flw_1", "flw_2", "flw_3"):
        await host.page(BEFORE, flow=flow)
        await host.page(ADDITIVE["added"], flow=flow)

    first = await schemas.ListSchemas(pb.ListSchemasRequest(page_size=2))
    second = await schemas.ListSchemas(pb.ListSchemasRequest(page_size=2, page_token=first.next_page_token))
    newest = await schemas.ListSchemaChanges(pb.ListSchemaChangesRequest(page_size=1))

    assert [one.flow_id for one in (*first.schemas, *second.schemas)] == ["flw_1", "flw_2", "flw_3"]
    assert not second.next_page_token
    assert [one.flow_id for one in newest.changes] == ["flw_3"]
    assert newest.next_page_token


async def test_a_schema_that_says_nothing_is_none(host, schemas):
    """
    What records look like is learnt then.
    """
    first = await host.start('{"type": "object"}')
    await host.page(BEFORE)
    stopped = await host.page(BREAKING["changed"][0])

    [known] = (await schemas.ListSchemas(pb.ListSchemasRequest(flow_id="flw_1"))).schemas
    assert first.wants_records
    assert not known.is_declared
    assert stopped.verdict == Verdict.VERDICT_STOP


async def test_policies_that_were_set_are_listed(host, schemas):
    """
    By flow; what was not said has its default.
    """
    for flow in ("flw_1", "flw_2"):
        policy = pb.SchemaPolicy(flow_id=flow, breaking=pb.SchemaPolicy.REACTION_QUARANTINE)
        await schemas.SetSchemaPolicy(pb.SetSchemaPolicyRequest(policy=policy))

    first = await schemas.ListSchemaPolicies(pb.ListSchemaPoliciesRequest(page_size=1))
    second = await schemas.ListSchemaPolicies(
        pb.ListSchemaPoliciesRequest(page_size=1, page_token=first.next_page_token)
    )
    alone = await schemas.GetSchemaPolicy(pb.GetSchemaPolicyRequest(flow_id="flw_2"))

    assert [one.flow_id for one in (*first.policies, *second.policies)] == ["flw_1", "flw_2"]
    assert list(second.policies) == [alone.policy]
    assert alone.policy.additive == pb.SchemaPolicy.REACTION_PASS


async def test_a_policy_that_makes_no_sense_is_refused(host, fault_of):
    """
    What breaks cannot simply pass.
    """
    fault = await fault_of(host.policy(breaking=pb.SchemaPolicy.REACTION_PASS))

    assert (type(fault), fault.violations[0].path) == (FixRequest, "policy.breaking")
