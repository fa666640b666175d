"""What both sides announce is compared exactly, in whatever pieces and however often it comes."""

import base64
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.records.v1 import links_pb2, links_pb2_grpc
from isthmus.records.v1 import reconciliation_pb2 as pb
from isthmus.records.v1 import reconciliation_pb2_grpc as pb_grpc

_NUMBERS = itertools.count(1)
KINDS = {1: "missing", 2: "extra", 3: "different"}


def announcement(key, content):
    """Gives what a host announces of a record with two fields; here the content stands for its digest."""
    marks = b"".join(str(value).encode().rjust(4) for value in content)
    names = {"names": ["one", "two"]} if content else {}
    digest = base64.b64encode(marks or b"-").decode()
    return {"digest": digest, "marks": base64.b64encode(marks).decode(), "shape": "s", "key": key, **names}


@dataclass
class Comparison:
    """A reconciliation, as the hosts of both sides see it."""

    hub: object
    number: int = field(default_factory=lambda: next(_NUMBERS))
    token: int = 0
    destination: str = "desk/items"

    def __post_init__(self):
        channel = self.hub.service.channel(tenant=self.hub.tenant)
        self.stub = pb_grpc.ReconciliationServiceStub(channel)
        self.links = links_pb2_grpc.LinksServiceStub(channel)
        self.report_id, self.flow_id = f"exe_{self.number:08}", f"flw_{self.number}"

    async def begin(self, **more):
        """Opens an attempt and gives the report."""
        self.token += 1
        request = pb.BeginReconciliationRequest(
            report_id=self.report_id,
            flow_id=self.flow_id,
            fencing_token=self.token,
            destination=self.destination,
            destination_primary_key=["id"],
            **more,
        )
        return (await self.stub.BeginReconciliation(request)).reconciliation

    async def announce(self, side, records, *, size=3, again=0, native=str):
        """Announces a side in batches, the last `again` records a second time by another attempt."""
        given = list(records.items())
        for part in (given, given[len(given) - again :]):
            await self.begin()
            stream = f"compare:{self.report_id}:{side}"
            write = await self.hub.open(stream, flow=self.flow_id, token=self.token)
            for start in range(0, len(part), size):
                chunk = part[start : start + size]
                keys = [native(key) for key, _ in chunk]
                await write.put([announcement(key, content) for key, content in chunk], keys)
            await write.close()

    async def conclude(self, unreadable=0):
        """Compares both sides and gives the report."""
        request = pb.ConcludeComparisonRequest(
            report_id=self.report_id, fencing_token=self.token, unreadable=unreadable
        )
        return (await self.stub.ConcludeComparison(request)).reconciliation

    async def select(self, keys):
        """Gives those of some keys that have to be written."""
        request = pb.SelectDifferencesRequest(report_id=self.report_id, keys=keys)
        return {keys[place] for place in (await self.stub.SelectDifferences(request)).places}

    async def extra(self):
        """Gives the keys of what is to be removed."""
        found, _ = await self.hub.read(f"compare:{self.report_id}:extra", 3)
        return [key for key, _ in found]

    async def link(self, key, external_id):
        """Has the flow linked to a record of the destination."""
        place = {"flow_id": self.flow_id, "claim": f"{self.number}-{key}"}
        intent = links_pb2.Intent(key=key, correlation_id=key, operation=1, content_hash=b"hash")
        await self.links.PutIntents(
            links_pb2.PutIntentsRequest(
                **place, fencing_token=1, intents=[intent], destination=self.destination
            )
        )
        done = links_pb2.Settlement(key=key, result=1, external_id=external_id)
        await self.links.SettleIntents(links_pb2.SettleIntentsRequest(**place, settlements=[done]))

    async def verdict(self, key):
        """Tells what the links say of a record that is about to be written as it is."""
        intent = links_pb2.Intent(key=key, correlation_id=key, operation=1, content_hash=b"hash")
        request = links_pb2.PutIntentsRequest(
            flow_id=self.flow_id,
            claim=f"{self.number}-later",
            fencing_token=2,
            intents=[intent],
            destination=self.destination,
        )
        return (await self.links.PutIntents(request)).verdicts[0].verdict


@pytest.fixture
def comparison(hub):
    """Gives a reconciliation of a tenant's own."""
    return Comparison(hub)


SIDES = st.dictionaries(
    st.sampled_from([f"k{number}" for number in range(12)]),
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=SIDES, destination=SIDES, size=st.integers(1, 5), again=st.integers(0, 12))
async def test_figures_are_those_of_the_sets(hub, source, destination, size, again):
    """
    Whatever both sides hold, in batches of any size, and announced again by other attempts.
    """
    one = Comparison(hub)
    await one.announce("destination", destination, size=size, again=again)
    await one.announce("source", source, size=size, again=again)
    report = await one.conclude()
    samples = {(KINDS[sample.kind], sample.key, tuple(sample.fields)) for sample in report.samples}

    both = source.keys() & destination.keys()
    different = {key for key in both if source[key] != destination[key]}
    expected = {("missing", key, ()) for key in source.keys() - both}
    expected |= {("extra", key, ()) for key in destination.keys() - both}
    for key in different:
        pairs = zip(("one", "two"), source[key], destination[key], strict=True)
        expected.add(("different", key, tuple(name for name, here, there in pairs if here != there)))
    assert samples == expected
    figures = (report.missing, report.extra, report.different, report.equal)
    kinds = [kind for kind, _, _ in expected]
    assert figures == (*map(kinds.count, ("missing", "extra", "different")), len(both - different))
    assert await one.select(sorted(source)) == (source.keys() - both) | different
    assert await one.extra() == sorted(destination.keys() - both)


async def test_links_say_which_record_is_which(comparison):
    """
    A system that chooses ids itself: linked records are compared, others are nobody's extra ones.
    """
    for key, ticket in (("a", "T-1"), ("b", "T-2"), ("gone", "T-3")):
        await comparison.link(key, ticket)
    await comparison.announce("source", {"a": "1x", "b": "1x", "new": "1x"})
    tickets = {"T-1": "1x", "T-2": "2x", "T-3": "1x", "T-9": "1x"}
    await comparison.begin()
    write = await comparison.hub.open(
        f"compare:{comparison.report_id}:destination", flow=comparison.flow_id, token=comparison.token
    )
    await write.put([announcement("", content) for content in tickets.values()], list(tickets))
    report = await comparison.conclude()

    assert (report.equal, report.different, report.missing, report.extra, report.unrelated) == (1, 1, 1, 1, 1)
    assert {(one.key, one.destination_key) for one in report.samples} == {
        ("b", "T-2"),
        ("new", ""),
        ("gone", "T-3"),
    }
    assert await comparison.extra() == ["gone"]


async def test_a_repair_forgets_what_links_say_once(comparison):
    """
    What the destination has lost is created, what it has changed is sent; what was done since stays.
    """
    for key in ("same", "lost", "changed"):
        await comparison.link(key, f"T-{key}")
    await comparison.announce("destination", {"same": "1x", "changed": "2x"}, native=lambda key: f"T-{key}")
    await comparison.announce("source", {"same": "1x", "lost": "1x", "changed": "1x"})
    await comparison.conclude()
    await comparison.begin(begins_repair=True)
    await comparison.link("lost", "T-new")
    await comparison.begin(begins_repair=True)

    verdicts = links_pb2.IntentVerdict
    assert await comparison.verdict("same") == verdicts.VERDICT_UNCHANGED
    assert await comparison.verdict("lost") == verdicts.VERDICT_UNCHANGED
    assert await comparison.verdict("changed") == verdicts.VERDICT_LINKED


async def test_nothing_is_removed_where_something_could_not_be_read(comparison, refused):
    """
    A record that could not be read may be the very one that looks extra.
    """
    await comparison.announce("destination", {"a": "1x"})
    await comparison.announce("source", {})
    await comparison.conclude(unreadable=1)

    assert (await refused(comparison.extra()))[1] == "EXTRA_UNCERTAIN"


async def test_no_more_is_removed_than_the_flow_allows(comparison, refused):
    """
    A source that has lost its records does not empty the destination.
    """
    await comparison.begin(most_deletions=1)
    await comparison.announce("destination", {"a": "1x", "b": "1x"})
    await comparison.conclude()

    assert (await refused(comparison.extra()))[1] == "TOO_MANY_DELETIONS"


async def test_an_older_attempt_announces_and_concludes_nothing(comparison, refused):
    """
    A host that was overtaken is refused wherever it turns up.
    """
    await comparison.begin()
    await comparison.begin()
    comparison.token -= 1
    write = await comparison.hub.open(
        f"compare:{comparison.report_id}:source", flow=comparison.flow_id, token=comparison.token
    )
    await write.send([announcement("a", "1x")], ["a"])

    assert (await refused(comparison.conclude()))[1] == "FENCED"
    assert (await refused(write.ack()))[1] == "FENCED"


async def test_another_tenant_compares_by_itself(comparison, other, refused):
    """
    The same ids in another tenant are another reconciliation, and the first one is not seen there.
    """
    theirs = Comparison(other, number=comparison.number)
    unseen = await refused(
        theirs.stub.GetReconciliation(pb.GetReconciliationRequest(report_id=theirs.report_id))
    )
    await comparison.announce("source", {"a": "1x"})
    await theirs.announce("destination", {"a": "1x"})
    reports = await comparison.conclude(), await theirs.conclude()

    assert unseen[1] == "REPORT_UNKNOWN"
    assert [(report.missing, report.extra) for report in reports] == [(1, 0), (0, 1)]
