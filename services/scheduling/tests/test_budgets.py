"""Shares of the limits of instances: together never more than the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience.faults import FixRequest
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain.budgets import Held, Share, held_places, share

NOBODY = (0.0, 0, 0)


class Hosts:
    """Hosts that ask in any order, and what scheduling reckons each with: rate, places, told places."""

    def __init__(self, most):
        self.most = most
        self.rows = {}
        self.busy = {}

    def ask(self, host):
        others = [row for name, row in self.rows.items() if name != host]
        _, own, told = self.rows.get(host, NOBODY)
        held = Held(len(others), sum(row[0] for row in others), sum(row[1] for row in others), own, told)
        given = share(self.most, held)
        busy = self.busy.get(host, 0)
        self.rows[host] = (given.rate_share, held_places(given, held, busy), given.places)
        return given

    def call(self, host, calls):
        """Have as many calls under way as the host was told, or those that have not ended yet."""
        told = self.rows.get(host, NOBODY)[2]
        self.busy[host] = min(calls, told) if calls >= self.busy.get(host, 0) else calls

    def leave(self, host):
        self.rows.pop(host, None)
        self.busy.pop(host, None)


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "call", "leave"]), st.integers(0, 5), st.integers(0, 20)))


@given(STEPS, st.integers(1, 20))
def test_shares_never_add_up_to_more_than_the_whole(steps, most):
    """
    Whoever comes, goes, calls and asks in whatever order: rate and calls under way stay within the limits.
    """
    hosts = Hosts(most)

    for what, host, calls in steps:
        if what == "call":
            hosts.call(host, calls)
        else:
            getattr(hosts, what)(host)

        assert sum(row[0] for row in hosts.rows.values()) <= 1 + 1e-9
        assert sum(row[1] for row in hosts.rows.values()) <= most
        assert sum(hosts.busy.values()) <= most


@given(st.integers(1, 6), st.integers(1, 20))
def test_shares_become_equal(count, most):
    """
    After every host has asked a few times each has its part, and as many as there are places can call.
    """
    hosts = Hosts(most)

    for _ in range(4):
        given_ = [hosts.ask(host) for host in range(count)]

    calling = [one for one in given_ if one.rate_share > 0]
    assert len(calling) == min(count, most)
    assert {round(one.rate_share, 6) for one in calling} == {round(1 / len(calling), 6)}
    assert {one.places for one in calling} == {max(1, most // count)}


def test_who_comes_later_waits_for_the_others():
    """
    The whole is taken, so there is nothing until the first host has learnt of the second.
    """
    hosts = Hosts(10)

    first, second, smaller = hosts.ask("a"), hosts.ask("b"), hosts.ask("a")

    assert (first, second) == (Share(1.0, 10, 1), Share(0.0, 0, 2))
    assert (smaller.rate_share, smaller.places) == (0.5, 5)


async def asked(bench, host, *uses, instance="ins_1", places=10, **more):
    """Ask for shares as a host does."""
    uses = uses or (pb.BudgetUse(instance_id=instance, places=places, **more),)
    answer = await bench.host.stub.ShareBudget(pb.ShareBudgetRequest(host_id=host, uses=uses))
    return [(round(one.rate_share, 3), one.places) for one in answer.shares]


async def test_a_host_gets_what_another_one_gives_back(bench):
    """
    Two hosts have a half each; when one has no more use for the instance the other has the whole.
    """
    for host in ("a", "b", "a", "a", "b"):
        given_ = await asked(bench, host)
    await asked(bench, "b", ends=True)

    alone = await asked(bench, "a")

    assert (given_, alone) == ([(0.5, 5)], [(1.0, 10)])


async def test_the_share_of_a_host_that_died_comes_back(bench):
    """
    Who does not ask again is forgotten after a while.
    """
    for host in ("a", "b", "a", "a", "b"):
        await asked(bench, host)
    bench.clock.forward(seconds=20)

    assert await asked(bench, "a") == [(1.0, 10)]


async def test_instances_and_tenants_share_nothing_with_others(bench, benches):
    """
    The same name in another tenant is another instance.
    """
    other = benches(f"{bench.tenant}x")

    first = await asked(bench, "a")
    again = await asked(bench, "b", instance="ins_2")
    foreign = await asked(other, "b")

    assert first == again == foreign == [(1.0, 10)]


@pytest.mark.parametrize("more", [{"places": -1}, {"busy": -1}, {"instance_id": ""}], ids=str)
async def test_a_use_that_cannot_be_is_refused(bench, more):
    """
    The path says what to mend.
    """
    use = pb.BudgetUse(**{"instance_id": "ins_1", **more})

    fault = await bench.refused(asked(bench, "a", use))

    assert isinstance(fault, FixRequest)
    assert fault.violations[0].path.startswith("uses[0].")
