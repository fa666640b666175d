"""What hosts do for two-way flows, and what one-way flows make of deletions."""

import json

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.deletions import Deletions
from isthmus.host.attempt.legs import begins_empty, side_plan, writer_id
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits
from isthmus.host.backend import SourcePage
from isthmus.mapper import compile_mapping
from isthmus.resilience import Missing
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

LIMITS = Limits(1000, 1 << 20)
RULES = scheduling.ConflictRules(source_time_field="at", destination_time_field="meta.at")
MAPPING = {
    "version": "isthmus/v1",
    "field_mappings": [
        {"target": "id", "source": "id"},
        {"target": "a.title", "source": "name"},
        {"target": "tags", "source": "labels"},
    ],
    "transformations": {"where": {"path": "kind", "not_equals": "note"}},
}


def notes(flow, leg, *records, mapping=None):
    """Give what the pairs are told about some records."""
    plan = side_plan(flow, leg, compile_mapping(mapping) if mapping else None)
    return plan.apply_many(list(records)).records


def test_the_source_is_told_of_in_mapped_form_with_its_time():
    """
    A record that the mapping leaves out is there all the same, and is not deleted.
    """
    flow = scheduling.Flow(conflict_rules=RULES)
    given = {"id": 1, "name": "n", "labels": ["x"], "kind": "bug", "at": "2026-01-01T00:00:00Z"}

    told = notes(flow, scheduling.LEG_READ_SOURCE, given, {"id": 2, "kind": "note"}, mapping=MAPPING)

    assert told == [
        {"record": {"id": 1, "a": {"title": "n"}, "tags": ["x"]}, "time": "2026-01-01T00:00:00Z"},
        {"left_out": True},
    ]


def test_of_the_destination_only_the_fields_that_the_mapping_makes_count():
    """
    What is the destination's own business stays there.
    """
    flow = scheduling.Flow(conflict_rules=RULES)
    given = {"id": 1, "a": {"title": "n", "own": 1}, "own": 2, "tags": [{"b": 1}], "meta": {"at": 5}}

    told = notes(flow, scheduling.LEG_READ_DESTINATION, given, mapping=MAPPING)

    assert told == [{"record": {"id": 1, "a": {"title": "n"}, "tags": [{"b": 1}]}, "time": 5}]


@pytest.mark.parametrize(
    ("leg", "given", "kept"),
    [
        (scheduling.LEG_READ_SOURCE, {"id": 1, "at": 7, "meta": {"at": 5}}, {"id": 1, "meta": {"at": 5}}),
        (
            scheduling.LEG_READ_DESTINATION,
            {"id": 1, "at": 7, "meta": {"at": 5}},
            {"id": 1, "at": 7, "meta": {}},
        ),
    ],
    ids=["source", "destination"],
)
def test_without_a_mapping_everything_counts_but_the_stamp(leg, given, kept):
    """
    Each side stamps its own changes; the stamp of one is no news for the other.
    """
    [told] = notes(scheduling.Flow(conflict_rules=RULES), leg, given)

    assert told["record"] == kept


def test_each_side_remembers_writes_of_its_own():
    """
    Ids of the one side must not be taken for ids of the other.
    """
    flow = scheduling.Flow(flow_id="flw_1")

    assert writer_id(flow, scheduling.LEG_WRITE_DESTINATION) == "flw_1"
    assert writer_id(flow, scheduling.LEG_WRITE_SOURCE) == "flw_1:back"


def test_only_a_stream_of_the_hub_may_be_missing():
    """
    It comes into being by the first write; a stream of another system that is gone is an error.
    """
    fault = Missing("STREAM_UNKNOWN", "There is none.")
    hub = scheduling.Flow(source=scheduling.Endpoint(instance_id="hub"))
    other = scheduling.Flow(source=scheduling.Endpoint(instance_id="ins_1"))

    assert begins_empty(hub, scheduling.LEG_READ_DESTINATION, fault)
    assert not begins_empty(hub, scheduling.LEG_UNSPECIFIED, fault)
    assert not begins_empty(other, scheduling.LEG_READ_SOURCE, fault)


PAGE = SourcePage(
    [{"id": 1, "name": "kept"}, {"id": 2, "name": "gone"}],
    ["1", "2"],
    [batch.OPERATION_UPSERT, batch.OPERATION_DELETE],
)


def delivered(kind, **more):
    """Give what a one-way flow with a delete policy sends, and how many records it leaves out."""
    policy = scheduling.DeletePolicy(kind=kind, **more)
    deletions = Deletions.of(scheduling.Flow(delete_policy=policy), 0)
    plan = compile_mapping(
        {"version": "isthmus/v1", "field_mappings": [{"target": "title", "source": "name"}]}
    )
    [piece] = PageMapper(plan, deletions=deletions).pieces(PAGE, "", LIMITS)
    sent = list(zip(piece.keys, map(json.loads, piece.records), piece.operations, strict=True))
    return sent, piece.filtered, piece.read


def test_a_one_way_flow_hands_deletions_on_unless_told_otherwise():
    """
    Of a deleted record only its key is read.
    """
    sent, left_out, _ = delivered(scheduling.DeletePolicy.KIND_PROPAGATE)

    assert [one[2] for one in sent] == [batch.OPERATION_UPSERT, batch.OPERATION_DELETE]
    assert left_out == 0


def test_a_one_way_flow_may_ignore_deletions():
    """
    They are counted as left out, so that the counts add up.
    """
    sent, left_out, read = delivered(scheduling.DeletePolicy.KIND_IGNORE)

    assert [one[0] for one in sent] == ["1"]
    assert (left_out, read) == (1, 2)


def test_a_one_way_flow_may_mark_what_was_deleted():
    """
    The record stays at the destination, in its last form and with the mark.
    """
    sent, left_out, _ = delivered(
        scheduling.DeletePolicy.KIND_TOMBSTONE, tombstone_field="meta.state", tombstone_value='"closed"'
    )

    gone = {"title": "gone", "meta": {"state": "closed"}}
    assert sent == [
        ("1", {"title": "kept"}, batch.OPERATION_UPSERT),
        ("2", gone, batch.OPERATION_PATCH),
    ]
    assert left_out == 0


def test_a_flow_that_deletes_deletes_everything_it_reads():
    """
    Records are mapped as ever, because their key is that of the destination.
    """
    flow = scheduling.Flow(write_mode=connector.WRITE_MODE_DELETE)
    page = SourcePage([{"id": "1", "title": "one"}, {"id": "2", "title": "two"}], ["1", "2"])

    [piece] = PageMapper(None, ["id"], deletions=Deletions.of(flow, 0)).pieces(page, "", LIMITS)

    assert piece.operations == [batch.OPERATION_DELETE, batch.OPERATION_DELETE]
    assert (piece.keys, piece.read) == (["1", "2"], 2)
