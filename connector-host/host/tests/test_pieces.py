"""Pages become pieces, pieces become batches: nothing is lost, doubled or reordered on the way."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits, Piece, request_of
from isthmus.host.attempt.quarantine import preserved
from isthmus.host.attempt.waiting import Waiting
from isthmus.host.backend import SourcePage, SourceReject
from isthmus.mapper import compile_mapping
from isthmus.type.v1 import batch_pb2 as batch

PLAN = compile_mapping(
    {
        "version": "isthmus/v1",
        "field_mappings": [
            {"target": "number", "source": "id", "cast": "integer"},
            {"target": "kind", "source": "kind", "required": True},
        ],
    }
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 10**6) | st.just("no number")},
        optional={"kind": st.sampled_from(["a", "b"])},
    ),
    max_size=40,
)


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def split(page: SourcePage, plan: object = PLAN, limits: Limits | None = None) -> list[Piece]:
    return list(PageMapper(plan).pieces(page, "p", limits or Limits(7, 200)))


@patient
@given(RECORDS, st.booleans())
def test_every_record_of_a_page_is_accounted_for(found, encoded):
    """
    Whatever the records look like, each is sent, rejected or left out, in order.
    """
    records = [msgspec.json.encode(one) if encoded else one for one in found]
    page = SourcePage(records, [str(n) for n in range(len(records))], position=batch.Position(state=b"x"))

    pieces = split(page)

    sent = [key for piece in pieces for key in piece.keys]
    refused = [reject.key for piece in pieces for reject in piece.rejects]
    assert sum(piece.read for piece in pieces) == len(records)
    assert sorted([*sent, *refused], key=int) == [str(n) for n in range(len(records))]
    assert sent == sorted(sent, key=int)
    assert [piece.boundary for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].position is not None


def test_pieces_keep_to_the_limits_of_a_batch():
    """
    Neither too many records nor too many bytes travel together.
    """
    page = SourcePage([{"id": n, "kind": "a" * 50} for n in range(30)], [str(n) for n in range(30)])

    pieces = split(page, limits=Limits(10, 400))

    assert all(len(piece.records) <= 10 and piece.size <= 400 for piece in pieces)
    assert sum(len(piece.records) for piece in pieces) == 30


def test_a_record_larger_than_a_batch_goes_to_quarantine():
    """
    It would never arrive, so it is put aside with its reason and the rest goes on.
    """
    page = SourcePage([{"id": 1, "kind": "a" * 500}, {"id": 2, "kind": "a"}], ["1", "2"])

    (piece,) = split(page)

    assert piece.keys == ["2"]
    assert [reject.reasons[0].reason for reject in piece.rejects] == ["RECORD_TOO_LARGE"]


def test_what_the_source_could_not_read_counts_as_read():
    """
    A reject of the source is read and quarantined, even on a page without records.
    """
    page = SourcePage([], rejected=[SourceReject(b"\xff", "RECORD_INVALID", "It is no JSON.")])

    (piece,) = split(page)

    assert piece.read == len(piece.rejects) == 1


def test_deleted_records_keep_their_source_form_and_their_place():
    """
    Only the key of a deletion is read, so the mapping leaves it alone, and order is kept.
    """
    page = SourcePage(
        [{"id": 1, "kind": "a"}, {"id": 2}, {"id": 3, "kind": "b"}],
        ["1", "2", "3"],
        [batch.OPERATION_UPSERT, batch.OPERATION_DELETE, batch.OPERATION_UPSERT],
    )

    (piece,) = split(page)

    assert piece.keys == ["1", "2", "3"]
    assert piece.records[1] == b'{"id":2}'
    assert list(piece.operations) == [1, 3, 1]


def test_keys_are_taken_from_the_mapped_record():
    """
    A destination key names fields of what arrives; where one is missing the record is put aside.
    """
    page = SourcePage([{"id": 1, "kind": "a"}, {"kind": "b"}], ["1", "2"])

    (piece,) = PageMapper(PLAN, ["number"]).pieces(page, "", Limits())

    assert piece.keys == ["1"]
    assert piece.rejects[0].reasons[0].reason == "KEY_MISSING"


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"a": 10**400}, {1, 2}])
def test_what_cannot_be_written_as_json_is_rejected_and_kept(value):
    """
    No value that a connector gives can stop a page.
    """
    page = SourcePage([{"id": 1, "kind": value}], ["1"])

    (piece,) = split(page, plan=None)

    assert len(piece.records) + len(piece.rejects) == 1
    for reject in piece.rejects:
        assert preserved(reject.record)[0]


@patient
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=30))
def test_joined_pieces_are_whole_pages_in_order(shapes):
    """
    Batches hold what was queued, in order, and end at a page's end whenever they hold several pieces.
    """
    waiting, limits = Waiting(), Limits(10, 10_000)
    pieces = [
        part
        for number, (count, boundary) in enumerate(shapes)
        for part in Piece(
            read=count,
            records=[b"%d.%d" % (number, n) for n in range(count)],
            keys=[f"{number}.{n}" for n in range(count)],
            sources=[None] * count,
            size=4 * count,
            boundary=boundary,
        ).split(limits)
    ]
    waiting.add(pieces)

    taken = []
    while waiting:
        taken.append(waiting.take_joined(limits))

    assert [piece for joined in taken for piece in joined] == pieces
    assert all(all(piece.boundary for piece in joined) for joined in taken if len(joined) > 1)
    assert all(sum(len(piece.records) for piece in joined) <= 10 for joined in taken)


def test_a_batch_goes_as_soon_as_another_page_would_not_fit():
    """
    Waiting for a page that would have to wait itself gains nothing.
    """
    waiting, limits = Waiting(), Limits(25, 10_000)
    full = []

    for _ in range(2):
        waiting.add([Piece(records=[b"{}"] * 10, size=20, boundary=True)])
        full.append(waiting.is_full(limits))

    assert full == [False, True]
    assert len(waiting.take_joined(limits)) == 2


def test_a_batch_without_records_is_no_batch():
    """
    A position may pass by itself; nothing is sent for it.
    """
    assert request_of([Piece(boundary=True, position=batch.Position(state=b"x"))], 1) is None


@pytest.mark.parametrize(
    ("record", "text", "is_binary"),
    [
        (b'{"a":1}', '{"a":1}', False),
        (b"\xff\xfe", "//4=", True),
        (b"<html>", "PGh0bWw+", True),
        (b'{"a":1,"a":"\\ud800","b":1e999999}', '{"a":1,"a":"\\ud800","b":1e999999}', False),
        (b'{"a":NaN}', "eyJhIjpOYU59", True),
        ({"a": "\ud800"}, '{"a": "\\ud800"}', False),
    ],
)
def test_records_are_kept_whole_for_quarantine(record, text, is_binary):
    """
    JSON stays as it is; bytes that are none are kept as base64.
    """
    assert preserved(record) == (text, is_binary)


@pytest.mark.parametrize("plan", [PLAN, None])
@pytest.mark.parametrize(
    ("raw", "reason", "path"),
    [
        (b'{"id": 1, "id": 2}', "RECORD_DUPLICATE_KEYS", "id"),
        (b'{"id": {"a": "\\ud800"}}', "RECORD_NOT_JSON", "id.a"),
        (b"1,2,3", "RECORD_NOT_JSON", ""),
        (b"[1]", "RECORD_NOT_OBJECT", ""),
    ],
)
def test_what_was_unreadable_in_quarantine_still_is(raw, reason, path, plan):
    """
    A requeued record that no decoder reads goes back to where it waited, with what is wrong with it.
    """
    page = SourcePage([raw, b'{"id":2,"kind":"a"}'], ["", ""], quarantine_ids=["q1", "q2"])

    (piece,) = split(page, plan)

    (reject,) = piece.rejects
    assert (reject.record, reject.quarantine_id) == (raw, "q1")
    assert [(one.reason, one.source_path) for one in reject.reasons] == [(reason, path)]
    assert list(piece.quarantine_ids) == ["q2"]
