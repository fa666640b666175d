"""The tickets of an execution: taken with the lease, renewed in time, shown to the destination."""

from types import SimpleNamespace

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt import passes as module
from isthmus.host.attempt.lease import Lease
from isthmus.host.attempt.passes import Passes
from isthmus.host.servicer import _batches
from isthmus.kit.tickets import Carried, carried_text, carry_from_here
from isthmus.resilience import RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling


def grant(source="s1", destination="d1"):
    answer = scheduling.AcquireLeaseResponse(source_ticket=source, destination_ticket=destination)
    answer.lease_expire_time.FromSeconds(2**31)
    return answer


class Scheduling:
    """Renews leases, with new tickets when it is asked for some."""

    def __init__(self, destination="d2"):
        self.destination = destination
        self.wanted = []

    async def RenewLease(self, request, timeout):
        self.wanted.append(request.wants_tickets)
        answer = scheduling.RenewLeaseResponse()
        answer.lease_expire_time.FromSeconds(2**31)
        if request.wants_tickets:
            answer.source_ticket, answer.destination_ticket = "s2", self.destination
        return answer


def lease_of(given, scheduler):
    return Lease(SimpleNamespace(scheduling=scheduler), given)


async def test_newer_tickets_are_asked_for_when_they_are_due(monkeypatch):
    """
    With a heartbeat, and not with each of them; who carries the old ones carries the new ones.
    """
    scheduler = Scheduling()
    lease = lease_of(grant(), scheduler)
    carried = lease.passes.source
    await lease._renew()
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.0)
    await lease._renew()

    assert scheduler.wanted == [False, True]
    assert (carried.text, lease.passes.destination.text) == ("s2", "d2")


async def test_a_destination_that_nobody_knew_is_asked_for_before_the_work_begins():
    """
    Scheduling may have been started a moment ago, without the registry; that passes or the attempt ends.
    """
    lease, lacking = lease_of(grant(destination=""), Scheduling()), lease_of(grant("s1", ""), Scheduling(""))
    await lease.complete_passes(60.0)
    with pytest.raises(RetryLater) as failed:
        await lacking.complete_passes(0.0)

    assert lease.passes.destination.text == "d2"
    assert failed.value.reason == "TICKET_UNAVAILABLE"


def test_an_answer_without_tickets_leaves_those_that_there_are():
    """
    Nor is anything asked of a scheduling service that gives none.
    """
    passes, none = Passes(grant()), Passes(grant("", ""))
    passes.take(scheduling.RenewLeaseResponse())

    assert (passes.source.text, passes.destination.text) == ("s1", "d1")
    assert not none.are_due
    assert not none.lack_one


async def test_a_stream_goes_on_with_the_newest_ticket_that_came_along():
    """
    What the destination's host shows to others is what its caller has shown it last.
    """

    async def requests():
        for ticket in ("", "newer", ""):
            request = connector.WriteRequest(ticket=ticket)
            request.batch.SetInParent()
            yield request

    carry_from_here(Carried("older"))
    seen = [carried_text() async for _ in _batches(requests())]

    assert seen == ["older", "newer", "newer"]
