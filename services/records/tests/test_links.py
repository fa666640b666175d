"""Links: what is announced before a write, what came of it, and who may write meanwhile."""

import asyncio
import uuid

import grpc
import pytest
from isthmus.records.v1 import links_pb2 as pb
from isthmus.records.v1 import links_pb2_grpc as pb_grpc
from isthmus.type.v1 import batch_pb2

FRESH, LINKED, UNCHANGED, IN_DOUBT = 1, 2, 3, 4
DONE, DELETED, REJECTED, UNTOUCHED, UNKNOWN, SET_ASIDE = 1, 2, 3, 4, 5, 6
DELETE = batch_pb2.OPERATION_DELETE


class Links:
    """One flow's links, as a destination host uses them."""

    def __init__(self, hub, flow="flw_1"):
        self.stub = pb_grpc.LinksServiceStub(hub.service.channel(tenant=hub.tenant))
        self.flow = flow

    async def put(self, *keys, claim="", content="a", token=1, hold=30, operation=1, **more):
        """Announce keys under a claim; return the verdicts."""
        intents = [
            pb.Intent(
                key=key, correlation_id=f"cor-{key}", operation=operation, content_hash=content.encode()
            )
            for key in keys
        ]
        request = pb.PutIntentsRequest(
            flow_id=self.flow, fencing_token=token, claim=claim or uuid.uuid4().hex, intents=intents, **more
        )
        request.hold.seconds = hold
        return list((await self.stub.PutIntents(request)).verdicts)

    async def settle(self, claim, result, *keys, external_id=""):
        """Settle keys; return how many were the claim's."""
        settlements = [pb.Settlement(key=key, result=result, external_id=external_id) for key in keys]
        request = pb.SettleIntentsRequest(flow_id=self.flow, claim=claim, settlements=settlements)
        return (await self.stub.SettleIntents(request)).settled

    async def link(self, key):
        return (await self.stub.GetLink(pb.GetLinkRequest(flow_id=self.flow, key=key))).link

    async def keys(self, **options):
        answer = await self.stub.ListLinks(pb.ListLinksRequest(flow_id=self.flow, **options))
        return [link.key for link in answer.links]


@pytest.fixture
def links(hub):
    return Links(hub)


async def test_written_record_is_found_under_its_id(links):
    """
    A create that was settled is linked: the same content costs nothing, other content goes to the id.
    """
    [first] = await links.put("k", claim="one")
    await links.settle("one", DONE, "k", external_id="T-1")
    [same] = await links.put("k")
    [other] = await links.put("k", content="b")

    assert first.verdict == FRESH
    assert (same.verdict, other.verdict, other.external_id) == (UNCHANGED, LINKED, "T-1")


async def test_unsettled_create_is_in_doubt(links):
    """
    When a writer is silent beyond its hold, whoever comes next is told to look.
    """
    await links.put("k", claim="dies", hold=0, token=1)
    await links.settle("dies", UNKNOWN, "k")
    [verdict] = await links.put("k", token=2)

    assert verdict.verdict == IN_DOUBT
    assert verdict.open_for.ToTimedelta().total_seconds() > 0
    assert (await links.link("k")).is_in_doubt


async def test_unsettled_update_is_repeated(links):
    """
    An update by id may be repeated, so nobody has to look.
    """
    await links.put("k", claim="one")
    await links.settle("one", DONE, "k", external_id="T-1")
    await links.put("k", claim="two", content="b")
    await links.settle("two", UNKNOWN, "k")
    [verdict] = await links.put("k", content="a")

    assert (verdict.verdict, verdict.external_id) == (LINKED, "T-1")


async def test_same_claim_gets_the_same_answer(links):
    """
    A call that is repeated because its answer was lost is no second writer.
    """
    [first] = await links.put("k", claim="one")
    [again] = await links.put("k", claim="one")

    assert first.verdict == again.verdict == FRESH


async def test_held_record_waits_for_its_writer(links, refused):
    """
    Two writers never get the same record at a time, and the second learns how long to wait.
    """
    await links.put("a", claim="one")

    status = await refused(links.put("a", "b", token=2))

    assert status == (grpc.StatusCode.UNAVAILABLE, "INTENTS_HELD")
    assert await links.keys() == ["a"]


async def test_hold_ends_by_itself(links):
    """
    What a dead writer held is free when its time is over, without anybody's help.
    """
    await links.put("k", claim="dies", hold=1)

    async def patient():
        while True:
            try:
                return await links.put("k", token=2)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)

    [verdict] = await asyncio.wait_for(patient(), 30)
    assert verdict.verdict == IN_DOUBT


async def test_older_attempt_is_fenced(links, refused):
    """
    An overtaken attempt can announce nothing more.
    """
    await links.put("a", token=2)

    assert await refused(links.put("b", token=1)) == (grpc.StatusCode.FAILED_PRECONDITION, "FENCED")


async def test_overtaken_claim_settles_nothing(links):
    """
    The late word of a writer that was given up does not touch what its successor holds.
    """
    await links.put("k", claim="late")
    await links.settle("late", UNKNOWN, "k")
    await links.put("k", claim="next", token=2)

    assert await links.settle("late", DONE, "k", external_id="T-9") == 0
    assert await links.settle("next", DONE, "k", external_id="T-1") == 1
    assert (await links.link("k")).external_id == "T-1"


@pytest.mark.parametrize("result", [REJECTED, UNTOUCHED])
async def test_write_without_effect_leaves_no_trace(links, result):
    """
    What was refused or never sent is as it was before.
    """
    await links.put("k", claim="one")
    await links.settle("one", result, "k")
    [verdict] = await links.put("k")

    assert verdict.verdict == FRESH


async def test_refused_update_keeps_the_link(links):
    """
    The destination still holds the earlier content under the same id.
    """
    await links.put("k", claim="one")
    await links.settle("one", DONE, "k", external_id="T-1")
    await links.put("k", claim="two", content="b")
    await links.settle("two", REJECTED, "k")
    [same] = await links.put("k", content="a")

    assert same.verdict == UNCHANGED


async def test_untouched_doubt_stays_a_doubt(links):
    """
    A writer that was told to look and did not get to it clears nothing up.
    """
    await links.put("k", claim="one")
    await links.settle("one", UNKNOWN, "k")
    await links.put("k", claim="two")
    await links.settle("two", UNTOUCHED, "k")
    [verdict] = await links.put("k")

    assert verdict.verdict == IN_DOUBT


async def test_record_set_aside_waits_for_a_person(links):
    """
    Only what comes out of quarantine is written, and only once without looking.
    """
    await links.put("k", claim="one")
    await links.settle("one", SET_ASIDE, "k")
    [before] = await links.put("k", claim="two")
    await links.settle("two", SET_ASIDE, "k")
    [decided] = await links.put("k", claim="three", is_requeue=True)
    await links.settle("three", UNKNOWN, "k")
    [after] = await links.put("k", is_requeue=True)

    assert [one.verdict for one in (before, decided, after)] == [IN_DOUBT, FRESH, IN_DOUBT]


async def test_deleted_record_may_come_again(links):
    """
    A deletion is done once, and a record that appears again is created.
    """
    await links.put("k", claim="one")
    await links.settle("one", DONE, "k", external_id="T-1")
    [gone] = await links.put("k", claim="two", operation=DELETE)
    await links.settle("two", DELETED, "k")
    [again] = await links.put("k", operation=DELETE)
    [back] = await links.put("k")

    assert (gone.verdict, gone.external_id) == (LINKED, "T-1")
    assert (again.verdict, back.verdict) == (UNCHANGED, FRESH)


async def test_other_destination_knows_nothing(links):
    """
    A flow that is given another destination begins there from nothing.
    """
    await links.put("k", claim="one", destination="ins_1/tickets")
    await links.settle("one", DONE, "k", external_id="T-1")
    [same] = await links.put("k", destination="ins_1/tickets")
    [moved] = await links.put("k", destination="ins_2/tickets")

    assert (same.verdict, moved.verdict) == (UNCHANGED, FRESH)


async def test_adopted_record_is_changed_under_its_id(links):
    """
    What a person has found at the system is written there from now on.
    """
    await links.put("k", claim="one", destination="ins_1/tickets")
    await links.settle("one", SET_ASIDE, "k")
    await links.stub.AdoptLink(pb.AdoptLinkRequest(flow_id="flw_1", key="k", external_id="T-7"))
    [verdict] = await links.put("k", destination="ins_1/tickets")

    assert (verdict.verdict, verdict.external_id) == (LINKED, "T-7")


async def test_record_in_hand_is_not_adopted(links, refused):
    """
    Nobody takes a record out of a writer's hands.
    """
    await links.put("k", claim="one")
    adoption = links.stub.AdoptLink(pb.AdoptLinkRequest(flow_id="flw_1", key="k", external_id="T-7"))

    assert await refused(adoption) == (grpc.StatusCode.UNAVAILABLE, "INTENTS_HELD")


async def test_thousand_records_take_one_call(links):
    """
    A whole batch is announced and settled with one call each.
    """
    keys = [f"k{number:04}" for number in range(1000)]
    verdicts = await links.put(*keys, claim="one")

    assert {one.verdict for one in verdicts} == {FRESH}
    assert await links.settle("one", DONE, *keys, external_id="T") == 1000


async def test_links_are_listed_by_key(links):
    """
    Pages follow each other, and only doubts are shown when asked for.
    """
    await links.put("a", "b", "c", claim="one")
    await links.settle("one", DONE, "a", external_id="T-1")
    await links.settle("one", UNKNOWN, "b", "c")
    first = await links.stub.ListLinks(pb.ListLinksRequest(flow_id="flw_1", page_size=2))

    assert [link.key for link in first.links] == ["a", "b"]
    assert await links.keys(page_token=first.next_page_token) == ["c"]
    assert await links.keys(only_in_doubt=True) == ["b", "c"]
    assert await links.keys(states=[pb.Link.STATE_LINKED]) == ["a"]


async def test_forgotten_links_are_fresh_again(links):
    """
    Links are forgotten by key or all together, but not under a writer's hands.
    """
    await links.put("a", "b", claim="one")
    await links.settle("one", DONE, "a", external_id="T-1")
    removed = await links.stub.DeleteLinks(pb.DeleteLinksRequest(flow_id="flw_1", all=True))

    assert removed.deleted == 1
    assert await links.keys() == ["b"]


async def test_other_tenant_has_links_of_its_own(links, other):
    """
    The same flow and key of another tenant are another link.
    """
    await links.put("k", claim="one")

    [verdict] = await Links(other).put("k")
    assert verdict.verdict == FRESH


@pytest.mark.parametrize(
    "request_",
    [
        pb.PutIntentsRequest(flow_id="f", claim="c", intents=[pb.Intent(key="")]),
        pb.PutIntentsRequest(flow_id="f", claim="c", intents=[pb.Intent(key="a\0")]),
        pb.PutIntentsRequest(flow_id="f", claim="", intents=[pb.Intent(key="a")]),
        pb.PutIntentsRequest(flow_id="f", claim="c", intents=[pb.Intent(key="a")] * 2),
        pb.PutIntentsRequest(flow_id="f", claim="c", intents=[pb.Intent(key=str(n)) for n in range(1001)]),
    ],
    ids=["empty", "nul", "claim", "twice", "many"],
)
async def test_unusable_announcements_are_refused(links, refused, request_):
    """
    Nothing is announced that could not be settled.
    """
    code, _ = await refused(links.stub.PutIntents(request_))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
