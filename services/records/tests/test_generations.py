"""The end of complete refreshes of the hub's streams."""

import json

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb

PATCH, DELETE = 2, 3
ROWS = "SELECT xmin::text, ctid::text FROM records.records WHERE tenant_id = '{}' ORDER BY key"
HASHES = "SELECT cardinality(hashes) FROM records.generations WHERE tenant_id = '{}'"
LEFT = "SELECT generation_id, sequence, shown, removed FROM records.generations WHERE tenant_id = '{}'"


async def refresh(hub, generation, keys, *, token, flow="flw_rows", partition="", content=None):
    """Writes one batch of a generation."""
    write = await hub.open("rows", flow=flow, token=token, generation_id=generation)
    records = [{"n": key, **(content or {})} for key in keys]
    ack = await write.put(records, keys, partition=partition)
    await write.close()
    return ack


async def finish(hub, generation, *, token, flow="flw_rows", mark=None, is_preview=False, **limits):
    opened = pb.WriteOpen(
        binding=pb.Binding(instance_id="hub"),
        stream="rows",
        flow_id=flow,
        execution_id=generation,
        fencing_token=token,
        generation_id=generation,
        is_preview=is_preview,
    )
    text = json.dumps(mark).encode() if mark else b""
    request = pb.FinishGenerationRequest(open=opened, mark=text, **{"most_percent": 100, **limits})
    return await hub.connector.FinishGeneration(request)


async def test_what_a_refresh_has_not_shown_is_deleted_once(hub):
    """
    The keys of all partitions and attempts count; asking again gives the same answer and changes nothing.
    """
    await refresh(hub, "exe_1", ["a", "b", "c", "d"], token=1)
    await refresh(hub, "exe_2", ["a"], token=2, partition="one")
    await refresh(hub, "exe_2", ["b"], token=3, partition="two")

    ended = [await finish(hub, "exe_2", token=3) for _ in range(2)]

    assert [(one.shown, one.removed) for one in ended] == [(2, 2), (2, 2)]
    assert await hub.content("rows") == {"a": {"n": "a"}, "b": {"n": "b"}}


async def test_what_would_be_absent_is_foreseen_and_stays(hub):
    """
    Of the flow's own records only, with a few of them; more than may go is refused as it would be.
    """
    await refresh(hub, "exe_1", ["a", "b", "c"], token=1)
    await refresh(hub, "exe_x", ["d"], token=1, flow="flw_other")
    told = await finish(hub, "exe_2", token=2, is_preview=True, shown_keys=["a"])
    with pytest.raises(grpc.aio.AioRpcError, match="Nothing was deleted"):
        await finish(hub, "exe_2", token=2, is_preview=True, shown_keys=["a"], most_records=1)
    await refresh(hub, "exe_2", ["a"], token=2)
    done = await finish(hub, "exe_2", token=2)

    assert (told.removed, [one.key for one in told.absent]) == (2, ["b", "c"])
    assert json.loads(told.absent[0].before) == {"n": "b"}
    assert done.removed == 2


async def test_a_refresh_that_shows_the_same_writes_no_record(hub):
    """
    Telling what was shown costs rows beside the records, one for each batch.
    """
    await refresh(hub, "exe_1", [f"k{n}" for n in range(500)], token=1)
    before = hub.sql(ROWS.format(hub.tenant))

    ack = await refresh(hub, "exe_2", [f"k{n}" for n in range(500)], token=2)
    noted = hub.sql(HASHES.format(hub.tenant))
    await finish(hub, "exe_2", token=2)

    assert (ack.unchanged, noted) == (500, [(500,)])
    assert hub.sql(ROWS.format(hub.tenant)) == before


async def test_records_of_others_stay(hub):
    """
    Another flow, and a person, write into the same stream.
    """
    await hub.put("rows", [{"n": 1}], ["other"], flow="flw_other")
    await refresh(hub, "exe_1", ["a", "b"], token=1)
    await refresh(hub, "exe_2", ["a"], token=2)

    ended = await finish(hub, "exe_2", token=2)

    assert ended.removed == 1
    assert set(await hub.content("rows")) == {"other", "a"}


async def test_absent_records_can_be_marked(hub):
    """
    A record that carries the mark already is left alone, and one that comes back loses it.
    """
    await refresh(hub, "exe_1", ["a", "b"], token=1)
    await refresh(hub, "exe_2", ["a"], token=2)
    marked = await finish(hub, "exe_2", token=2, mark={"gone": True})
    await refresh(hub, "exe_3", ["a"], token=3)
    again = await finish(hub, "exe_3", token=3, mark={"gone": True})
    after = await hub.content("rows")
    await refresh(hub, "exe_4", ["b"], token=4)

    assert (marked.removed, again.removed) == (1, 0)
    assert after == {"a": {"n": "a"}, "b": {"n": "b", "gone": True}}
    assert (await hub.content("rows"))["b"] == {"n": "b"}


@pytest.mark.parametrize(
    ("held", "shown", "limits", "passes"),
    [
        (100, 75, {}, True),
        (100, 74, {}, False),
        (100, 50, {"most_percent": 50}, True),
        (100, 1, {"most_percent": 100}, True),
        (100, 0, {}, False),
        (4, 0, {}, False),
        (6, 1, {}, True),
        (100, 98, {"most_records": 1}, False),
    ],
)
async def test_more_than_may_go_is_not_deleted(hub, held, shown, limits, passes):
    """
    A system that lost its records must not empty the hub; what is few may always go.
    """
    keys = [f"k{n}" for n in range(held)]
    await refresh(hub, "exe_1", keys, token=1)
    if shown:
        await refresh(hub, "exe_2", keys[:shown], token=2)

    if passes:
        await finish(hub, "exe_2", token=2, **{"most_percent": 0, **limits})
    else:
        with pytest.raises(grpc.aio.AioRpcError, match="Nothing was deleted") as refused:
            await finish(hub, "exe_2", token=2, **{"most_percent": 0, **limits})
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION

    assert len(await hub.content("rows")) == (shown if passes else held)


async def test_an_overtaken_attempt_ends_nothing(hub):
    """
    A host that wakes up late finds its token refused.
    """
    await refresh(hub, "exe_1", ["a", "b"], token=1)
    await refresh(hub, "exe_2", ["a"], token=3)

    with pytest.raises(grpc.aio.AioRpcError, match="newer attempt"):
        await finish(hub, "exe_2", token=2)

    assert set(await hub.content("rows")) == {"a", "b"}


async def test_what_was_not_finished_is_forgotten(hub):
    """
    Refreshes that are given up leave nothing behind.
    """
    await refresh(hub, "exe_1", ["a", "b"], token=1)
    await refresh(hub, "exe_2", ["a"], token=2)
    await finish(hub, "exe_2", token=2)

    left = hub.sql(LEFT.format(hub.tenant))

    assert left == [("exe_2", 0, 1, 1)]
