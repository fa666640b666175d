"""Attempts at a source whose records change their form."""

from types import SimpleNamespace

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.legs import read_paths
from isthmus.host.attempt.watching import Expectations, SchemaWatch, Watched
from isthmus.host.backend import SourcePage
from isthmus.mapper import compile_mapping
from isthmus.mapping.v1 import schemas_pb2 as schemas
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

Answer = schemas.ObserveSchemaResponse
Difference = schemas.SchemaDifference
Finish = scheduling.FinishAttemptRequest
KNOWN = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["id", "name"],
}
LARGE = Difference(
    kind=Difference.KIND_TYPE_CHANGED, path="large", before="integer", after="string", is_breaking=True
)


def schema_of(**more):
    """What is expected, as JSON."""
    properties = {**KNOWN["properties"], **more}
    return msgspec.json.encode({**KNOWN, "properties": properties}).decode()


def judging(verdict, *differences, **more):
    """Answers so once a page shows `large`; everything before passes."""

    def answer(request):
        if "large" not in request.seen_schema:
            return Answer(verdict=Answer.VERDICT_PASS, json_schema=schema_of(**more))
        change = schemas.SchemaChange(differences=differences)
        return Answer(verdict=verdict, json_schema=schema_of(**more), change=change)

    return answer


async def test_a_breaking_change_stops_before_its_page(world):
    """
    What came before is durable; the next attempt goes on there, once somebody has decided.
    """
    world.registry.configuration = {"count": 60, "page": 10, "large_at": 39, "large": 3}
    world.schemas.answer = judging(Answer.VERDICT_STOP, LARGE)
    failed = await world.run()
    arrived = len(world.hub.data)

    world.schemas.answer = None
    ended = await world.run()

    assert (failed.error.reason, failed.error.kind) == ("SCHEMA_CHANGED", scheduling.ExecutionError.KIND_DATA)
    assert "large: type changed, integer → string" in failed.error.message
    assert "isthmus schema accept count" in failed.error.message
    assert (failed.counts.read, arrived) == (30, 30)
    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.counts.read, len(world.hub.data)) == (30, 60)


async def test_a_flow_that_stands_still_reads_nothing(world):
    """
    Its executions end at once with the reason.
    """
    change = schemas.SchemaChange(differences=[LARGE])
    world.schemas.answer = lambda request: Answer(verdict=Answer.VERDICT_STOP, change=change)

    failed = await world.run()

    assert failed.error.reason == "SCHEMA_CHANGED"
    assert world.connector.reads == []


async def test_records_that_show_the_change_go_to_quarantine(world):
    """
    The others of their page go on.
    """
    world.registry.configuration = {"count": 30, "page": 10, "large_at": 19, "large": 3}
    world.schemas.answer = judging(Answer.VERDICT_QUARANTINE, LARGE, large={"type": "integer"})

    ended = await world.run()

    [kept] = world.quarantine.held.values()
    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert (ended.counts.created, ended.counts.quarantined) == (29, 1)
    assert (kept.reasons[0].reason, kept.reasons[0].source_path) == ("SCHEMA_CHANGED", "large")
    assert msgspec.json.decode(kept.record)["id"] == 19


async def test_an_additive_change_passes_and_is_told(world):
    """
    In the integration's log.
    """
    added = Difference(kind=Difference.KIND_FIELD_ADDED, path="large", before="absent", after="string")
    world.registry.configuration = {"count": 30, "page": 10, "large_at": 19, "large": 3}
    world.schemas.answer = judging(Answer.VERDICT_PASS, added)
    tools = world.tools()

    ended = await world.run(tools=tools)
    await tools.reports.flush()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert b"large" in world.hub.data["19"]
    assert any("large: field added, absent → string" in line.message for line in world.monitoring.logs)


async def test_unknown_fields_are_dropped_where_the_flow_says_so(world):
    """
    Also when they first come in the middle of a sync.
    """
    drops = schemas.SchemaPolicy.NEW_FIELDS_DROP
    world.registry.configuration = {"count": 30, "page": 10, "large_at": 19, "large": 3}
    world.schemas.answer = lambda request: Answer(
        verdict=Answer.VERDICT_PASS, json_schema=schema_of(), unknown_fields=drops
    )

    ended = await world.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED
    assert msgspec.json.decode(world.hub.data["19"]) == {"id": 19, "name": "n19"}


async def test_an_even_stream_costs_one_question_at_most(world):
    """
    The next attempt at it costs none.
    """
    world.registry.configuration = {"count": 60, "page": 3}
    world.schemas.answer = judging(Answer.VERDICT_STOP)
    tools = world.tools()

    await world.run(tools=tools)
    first = len(world.schemas.asked)
    world.scheduling.checkpoints.clear()
    await world.run(tools=tools)

    assert first == len(world.schemas.asked) == 1
    assert len(world.connector.reads) == 120


async def test_flows_run_where_nobody_remembers_schemas(world):
    """
    A mapping service of an older version does not know the question.
    """

    invoke = world.mesh.peer("mapping").unary_unary(
        "/isthmus.mapping.v1.NoSuchService/ObserveSchema",
        request_serializer=schemas.ObserveSchemaRequest.SerializeToString,
        response_deserializer=Answer.FromString,
    )
    world.control.schemas = SimpleNamespace(ObserveSchema=invoke)

    ended = await world.run()

    assert ended.outcome == Finish.OUTCOME_COMPLETED


async def test_what_is_read_is_told_to_the_service(world):
    """
    A mapping reads some paths, a flow without one reads everything.
    """
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [{"target": "a", "source": "name"}]})
    stream = connector.StreamSpec(stream="numbers", primary_key=["id"], json_schema=schema_of())

    for paths in (read_paths(plan, 0), read_paths(None, 0)):
        watched = Watched("tnt", "flw", "count", "ins", stream, paths, plan.fingerprint)
        watch = SchemaWatch(world.control, Expectations(), watched, patience=1.0, tell=lambda message: None)
        await watch.begin()

    mapped, whole = world.schemas.asked
    assert (list(mapped.source_paths), mapped.reads_everything) == (["name"], False)
    assert (list(whole.source_paths), whole.reads_everything) == ([], True)
    assert mapped.mapping_fingerprint == plan.fingerprint
    assert mapped.declared_schema == schema_of()


async def test_deletions_have_no_form(world):
    """
    What is left of a deleted record says nothing about the others.
    """
    world.schemas.answer = judging(Answer.VERDICT_STOP)
    watched = Watched("tnt", "flw", "count", "ins", connector.StreamSpec(stream="numbers"), None)
    watch = SchemaWatch(world.control, Expectations(), watched, patience=1.0, tell=lambda message: None)
    await watch.begin()

    page = SourcePage([{"id": 1}, {"id": 2, "name": "n2"}], ["1", "2"], operations=[3, 1])
    admitted = await watch.admit(page)

    assert admitted is page
    assert len(world.schemas.asked) == 1


async def test_a_number_where_an_integer_was_is_not_put_aside(world):
    """
    Only records that show the change are; the log says so once.
    """
    told = []
    world.schemas.answer = judging(Answer.VERDICT_QUARANTINE, LARGE, large={"type": "integer"})
    watched = Watched("tnt", "flw", "count", "ins", connector.StreamSpec(stream="numbers"), None)
    watch = SchemaWatch(world.control, Expectations(), watched, patience=1.0, tell=told.append)
    await watch.begin()

    values = (1, 2.5, "three")
    page = SourcePage(
        [{"id": n, "name": "n", "large": large} for n, large in enumerate(values)], ["0", "1", "2"]
    )
    admitted = [await watch.admit(page), await watch.admit(page)]

    assert [[record["large"] for record in page.records] for page in admitted] == [[1, 2.5]] * 2
    assert [message.endswith("are put aside.") for message in told] == [True]
