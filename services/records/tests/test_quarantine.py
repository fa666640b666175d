"""Records that wait for a decision."""

import base64
import json
import uuid

import grpc
import pytest
from isthmus.records.v1 import records_pb2 as pb

Kept = pb.QuarantinedRecord
WAITING, REQUEUED, DELIVERED, DROPPED = (
    Kept.STATUS_WAITING,
    Kept.STATUS_REQUEUED,
    Kept.STATUS_DELIVERED,
    Kept.STATUS_DROPPED,
)


def broken(number: int = 1, flow: str = "flw_1", **more: object) -> pb.QuarantinedRecord:
    reasons = [pb.QuarantineReason(reason="VALUE_MISSING", message="Set it.", target_path="a.b")]
    values = {
        "flow_id": flow,
        "execution_id": "exe_1",
        "stage": Kept.STAGE_MAP,
        "key": f"k{number}",
        "record": json.dumps({"n": number}),
        "reasons": reasons,
        "mapping_id": "map_1",
        "mapping_version": 3,
    }
    return pb.QuarantinedRecord(**{**values, **more})


async def put(hub, *records):
    answer = await hub.records.QuarantineRecords(pb.QuarantineRecordsRequest(records=records))
    return list(answer.quarantine_ids)


async def waiting(hub, **options):
    answer = await hub.records.ListQuarantine(pb.ListQuarantineRequest(**options))
    return list(answer.records)


def announced(hub):
    """Verb, flow and count of each event about the tenant's quarantine."""
    place = f"tenant_id = '{hub.tenant}' AND subject LIKE '%.quarantine.%' ORDER BY position"
    bodies = [json.loads(body) for (body,) in hub.sql(f"SELECT body FROM records.outbox WHERE {place}")]
    return [(body["type"].split(".")[3], body["data"]["flowId"], body["data"]["count"]) for body in bodies]


async def test_record_is_kept_whole(hub):
    """
    A record waits with all that was said about it.
    """
    (one,) = await put(hub, broken())
    kept = (await hub.records.GetQuarantined(pb.GetQuarantinedRequest(quarantine_id=one))).record

    expected = broken(quarantine_id=one, status=WAITING, attempts=1, record_bytes=len(kept.record))
    kept.ClearField("create_time")
    kept.ClearField("update_time")
    assert kept == expected
    assert announced(hub) == [("added", "flw_1", "1")]


async def test_repetition_adds_nothing(hub):
    """
    The same call again, and one record twice in a call, keep one record with one attempt.
    """
    first = await put(hub, broken(), broken(), broken(2))
    again = await put(hub, broken(), broken(2))

    assert (first[0], first[0], first[2]) == (first[0], first[1], again[1])
    assert [record.attempts for record in await waiting(hub)] == [1, 1]
    assert announced(hub) == [("added", "flw_1", "2")]


async def test_failure_in_a_later_execution_counts(hub):
    """
    A record that fails again waits again, with the new reason and one attempt more.
    """
    await put(hub, broken())
    reasons = [pb.QuarantineReason(reason="TYPE_WRONG", message="Mend it.")]
    await put(hub, broken(execution_id="exe_2", reasons=reasons))
    (kept,) = await waiting(hub)

    assert (kept.attempts, kept.execution_id, kept.reasons[0].reason) == (2, "exe_2", "TYPE_WRONG")


async def test_bytes_that_are_no_json(hub):
    """
    Binary records keep their base64, and text that is no JSON becomes base64.
    """
    packed = base64.b64encode(b"\xff\x00").decode()
    await put(hub, broken(record=packed, is_binary=True), broken(record="<html>\0"), broken(record="{x"))
    kept = await waiting(hub)

    assert [record.is_binary for record in kept] == [True] * 3
    assert {base64.b64decode(record.record) for record in kept} == {b"\xff\x00", b"<html>\0", b"{x"}


async def test_odd_characters_are_kept(hub):
    """
    Escapes that jsonb refuses are no reason to lose a record, and NUL in a message becomes a mark.
    """
    reasons = [pb.QuarantineReason(reason="X", message="a\0b")]
    await put(hub, broken(record='{"a": "\\u0000\\ud800"}', key="k\0", reasons=reasons))
    (kept,) = await waiting(hub, reason="X")

    assert (kept.record, kept.is_binary) == ('{"a": "\\u0000\\ud800"}', False)
    assert (kept.key, kept.reasons[0].message) == ("k\ufffd", "a\ufffdb")


@pytest.mark.parametrize(
    "records",
    [
        [broken(n) for n in range(1001)],
        [broken(record=json.dumps("x" * 600_000)), broken(record=json.dumps("y" * 600_000))],
        [broken(flow="")],
        [broken(flow="x" * 256)],
    ],
)
async def test_too_much_at_once(hub, refused, records):
    """
    More than 1,000 records, more than 1 MiB, or a record without a flow is refused.
    """
    call = hub.records.QuarantineRecords(pb.QuarantineRecordsRequest(records=records))

    assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")


async def test_list_filters_and_pages(hub):
    """
    The list is narrowed by flow, state and reason, and comes in pages, oldest first.
    """
    other = [pb.QuarantineReason(reason="OTHER", message="x")]
    for number in range(6):
        more = {"reasons": other} if number == 5 else {}
        await put(hub, broken(number, flow=f"flw_{number % 2}", **more))
    request = pb.ListQuarantineRequest(flow_id="flw_1", page_size=2)
    first = await hub.records.ListQuarantine(request)
    request.page_token = first.next_page_token
    second = await hub.records.ListQuarantine(request)

    assert [record.key for record in (*first.records, *second.records)] == ["k1", "k3", "k5"]
    assert [record.key for record in await waiting(hub, reason="OTHER")] == ["k5"]
    assert await waiting(hub, statuses=[DROPPED]) == []


async def test_large_records_end_a_page_early(hub):
    """
    A page of large records is cut so that it fits into one message.
    """
    for number in range(5):
        await put(hub, broken(number, record=json.dumps({"n": number, "x": "x" * 900_000})))
    keys, token = [], None
    while token != "":
        request = pb.ListQuarantineRequest(page_size=100, page_token=token or "")
        page = await hub.records.ListQuarantine(request)
        keys, token = [*keys, *(record.key for record in page.records)], page.next_page_token

    assert keys == [f"k{number}" for number in range(5)]


async def put_large(hub, record, text, size=1 << 20):
    """Sends a record in pieces; returns its id."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    requests = [pb.QuarantineLargeRecordRequest(record=record)]
    requests += [pb.QuarantineLargeRecordRequest(piece=piece) for piece in pieces]
    return (await hub.records.QuarantineLargeRecord(requests)).quarantine_id


async def read_whole(hub, quarantine_id):
    request = pb.ReadQuarantinedRequest(quarantine_id=quarantine_id)
    return b"".join([answer.piece async for answer in hub.records.ReadQuarantined(request)])


async def test_large_record_is_kept_whole(hub):
    """
    A record of five megabytes comes and goes in pieces; lists and answers leave its text out.
    """
    text = json.dumps({"n": 1, "x": "é" * 2_500_000}, ensure_ascii=False).encode()
    one = await put_large(hub, broken(record=""), text, size=999_999)
    again = await put_large(hub, broken(record=""), text)
    await put(hub, broken(2))
    (large, small) = await waiting(hub)
    shown = (await hub.records.GetQuarantined(pb.GetQuarantinedRequest(quarantine_id=one))).record

    assert one == again == shown.quarantine_id
    assert (large.record, large.record_bytes, large.attempts, large.is_binary) == ("", len(text), 1, False)
    assert (shown.record, shown.key, shown.reasons) == ("", "k1", broken().reasons)
    assert small.record == '{"n": 2}'
    assert await read_whole(hub, one) == text


async def test_large_record_that_is_no_json(hub):
    """
    It becomes base64, like a small one.
    """
    one = await put_large(hub, broken(record="<"), b"x" * 3_000_000)
    (kept,) = await waiting(hub)

    assert kept.is_binary
    assert base64.b64decode(await read_whole(hub, one)) == b"<" + b"x" * 3_000_000


@pytest.mark.parametrize(
    ("record", "text", "reason"),
    [
        (broken(flow=""), b"{}", "BATCH_INVALID"),
        (broken(record=""), b"\xff", "BATCH_INVALID"),
        (broken(record=""), b" " * (65 << 20), "RECORD_TOO_LARGE"),
        (None, b"{}", "BATCH_INVALID"),
    ],
    ids=["no flow", "not UTF-8", "too large", "no beginning"],
)
async def test_large_record_that_is_refused(hub, refused, record, text, reason):
    """
    What cannot be kept whole is refused, and nothing of it is kept.
    """
    assert await refused(put_large(hub, record, text)) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert await waiting(hub) == []


async def test_requeue_by_flow(hub):
    """
    Requeueing a flow takes what waits there, says who did it, and tells it in one event.
    """
    await put(hub, broken(1), broken(2), broken(3, flow="flw_2"))
    answer = await hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(flow_id="flw_1"))
    kept = await waiting(hub, statuses=[REQUEUED])

    assert answer.requeued == 2
    assert {(record.key, record.decided_by) for record in kept} == {
        ("k1", "service_account:svc_test"),
        ("k2", "service_account:svc_test"),
    }
    assert announced(hub)[-1] == ("requeued", "flw_1", "2")


async def test_requeue_by_ids_tells_each_flow(hub):
    """
    Ids of several flows make one event for each flow.
    """
    ids = await put(hub, broken(1), broken(2, flow="flw_2"), broken(3))
    await hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(quarantine_ids=ids[:2]))

    assert announced(hub)[-2:] == [("requeued", "flw_1", "1"), ("requeued", "flw_2", "1")]


async def test_requeue_repeated_with_its_id(hub, refused):
    """
    A repeated request gets the first answer; another request with its id is refused.
    """
    await put(hub, broken(1))
    request = pb.RequeueQuarantinedRequest(flow_id="flw_1", request_id=str(uuid.uuid4()))
    first = await hub.records.RequeueQuarantined(request)
    again = await hub.records.RequeueQuarantined(request)

    assert (first, first.requeued) == (again, 1)
    request.flow_id = "flw_2"
    call = hub.records.RequeueQuarantined(request)
    assert await refused(call) == (grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED")


async def test_requeued_record_is_delivered(hub):
    """
    A record the host delivered is resolved once.
    """
    ids = await put(hub, broken(1))
    await hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(flow_id="flw_1"))
    request = pb.ResolveQuarantinedRequest(quarantine_ids=ids, execution_id="exe_9")
    first = await hub.records.ResolveQuarantined(request)
    again = await hub.records.ResolveQuarantined(request)

    assert (first.resolved, again.resolved) == (1, 0)
    assert [record.execution_id for record in await waiting(hub, statuses=[DELIVERED])] == ["exe_9"]


async def test_requeued_record_that_fails_again(hub):
    """
    What fails again after requeueing waits again, undecided.
    """
    await put(hub, broken(1))
    await hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(flow_id="flw_1"))
    await put(hub, broken(1, execution_id="exe_2"))
    (kept,) = await waiting(hub)

    assert (kept.attempts, kept.decided_by) == (2, "")


async def test_dropped_record_stays_dropped(hub):
    """
    A record given up stays visible as dropped when the source sends it again, and may be requeued by id.
    """
    ids = await put(hub, broken(1))
    answer = await hub.records.DropQuarantined(pb.DropQuarantinedRequest(quarantine_ids=ids))
    await put(hub, broken(1, execution_id="exe_2"))

    assert answer.dropped == 1
    assert announced(hub)[-1] == ("dropped", "flw_1", "1")
    assert await waiting(hub) == []
    (kept,) = await waiting(hub, statuses=[DROPPED])
    assert kept.attempts == 2
    requeued = await hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest(quarantine_ids=ids))
    assert requeued.requeued == 1


async def test_selection_has_to_name_something(hub, refused):
    """
    A decision about nothing, or about more ids than a call takes, is refused.
    """
    empty = [
        hub.records.RequeueQuarantined(pb.RequeueQuarantinedRequest()),
        hub.records.DropQuarantined(pb.DropQuarantinedRequest()),
    ]
    for call in empty:
        assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "SELECTION_EMPTY")
    many = [f"qrn_{n}" for n in range(1001)]
    call = hub.records.ResolveQuarantined(pb.ResolveQuarantinedRequest(quarantine_ids=many))
    assert await refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")


async def test_unknown_id(hub, refused):
    """
    An id nobody has is named as such.
    """
    for call in (
        hub.records.GetQuarantined(pb.GetQuarantinedRequest(quarantine_id="qrn_none")),
        read_whole(hub, "qrn_none"),
    ):
        assert await refused(call) == (grpc.StatusCode.NOT_FOUND, "QUARANTINED_RECORD_UNKNOWN")
