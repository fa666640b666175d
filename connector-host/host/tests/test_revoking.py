"""What a host forgets when a credential was changed or taken back, and what it tells of scopes."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.credentials.v1 import credentials_pb2 as credentials
from isthmus.host.binding import Leases
from isthmus.host.revoking import Revocations
from isthmus.host.steps import granted
from isthmus.kit.bus import Bus
from isthmus.resilience import RetryLater
from isthmus.testing.waiting import eventually

Step = connector.CheckStep
MINE = ("tnt_1", "ath_1")
NOW = "2026-01-31T12:00:00+00:00"


class Lender:
    """Lends a token, when it is let."""

    def __init__(self):
        self.leases = 0
        self.may = asyncio.Event()
        self.may.set()
        self.fault = None

    async def LeaseCredential(self, request, timeout):
        self.leases += 1
        if self.fault is not None:
            raise self.fault
        answer = credentials.LeaseCredentialResponse(auth_type=connector.AUTH_METHOD_BEARER)
        answer.secret.bearer_token = f"token-{self.leases}"
        answer.expire_time.FromSeconds(int(time.time()) + 300)
        await self.may.wait()
        return answer


@pytest.fixture
def lender():
    return Lender()


@pytest.fixture
def leases(lender):
    return Leases(SimpleNamespace(credentials=lender), "hst_1")


async def test_a_lease_is_kept_until_its_credential_is_changed(leases, lender):
    """
    Another credential of the same tenant is none of its business.
    """
    for _ in range(3):
        await leases.lease(*MINE, "ins_1", fresh=60)
    leases.end("tnt_1", "ath_2")
    await leases.lease(*MINE, "ins_1", fresh=60)
    before = lender.leases
    leases.end(*MINE)
    after = await leases.lease(*MINE, "ins_1", fresh=60)

    assert (before, lender.leases) == (1, 2)
    assert after.material["secret"] == "token-2"


async def test_a_lease_given_before_the_news_is_not_kept(leases, lender):
    """
    It was on its way while the credential was taken back.
    """
    lender.may.clear()
    underway = asyncio.create_task(leases.lease(*MINE, "ins_1", fresh=60))
    while not lender.leases:
        await asyncio.sleep(0)
    leases.end(*MINE)
    lender.may.set()
    await underway
    await leases.lease(*MINE, "ins_1", fresh=60)

    assert lender.leases == 2


async def test_a_lease_is_kept_while_somebody_tells_of_changes(leases, lender):
    """
    As soon as news may have been missed, it is asked for again; then that one is kept.
    """
    leases.hears = lambda: 1
    for _ in range(3):
        await leases.lease(*MINE, "ins_1", fresh=1e-9)
    kept = lender.leases
    leases.hears = lambda: 2
    for _ in range(3):
        await leases.lease(*MINE, "ins_1", fresh=1e-9)
    after_a_gap = lender.leases
    leases.hears = lambda: None
    for _ in range(2):
        await leases.lease(*MINE, "ins_1", fresh=1e-9)

    assert (kept, after_a_gap, lender.leases) == (1, 2, 4)


async def test_what_is_borrowed_is_kept_while_events_pass_and_ends_with_one(leases, lender, nats_url):
    """
    A host that hears its bus asks once, and again as soon as a credential is taken back.
    """
    bus = Bus(nats_url, "host-files")
    tasks = [asyncio.create_task(work()) for work in (bus.run, Revocations(bus, leases, None).run)]
    await eventually(lambda: leases.hears() is not None, "the host hears events")
    for _ in range(3):
        await leases.lease(*MINE, "ins_1", fresh=1e-9)
    kept = lender.leases
    said = {"id": "evt_1", "type": "x", "tenantid": "tnt_1", "source": "x", "subject": "ath_1", "time": NOW}
    await bus.client.publish("isthmus.v1.tnt_1.credentials.auth_config.revoked", json.dumps(said).encode())
    await eventually(lambda: not leases._held, "what was borrowed is forgotten")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.close()

    assert kept == 1
    assert leases.hears() is None


async def test_many_who_want_a_lease_at_the_same_time_make_one(leases, lender):
    """
    Of one instance; another instance borrows for itself.
    """
    got = await asyncio.gather(*(leases.lease(*MINE, f"ins_{turn % 2}", fresh=60) for turn in range(20)))

    assert lender.leases == 2
    assert len({one.material["secret"] for one in got}) == 2


async def test_a_lease_that_holds_outlives_a_vault_that_is_away(leases, lender):
    """
    It is tried again after a while only, not with every use.
    """
    await leases.lease(*MINE, "ins_1", fresh=60)
    lender.fault = RetryLater("VAULT_SEALED", "The vault is sealed.")
    first = await leases.lease(*MINE, "ins_1", fresh=1e-9)
    asked = lender.leases
    again = await leases.lease(*MINE, "ins_1", fresh=60)

    assert (first.material["secret"], again.material["secret"]) == ("token-1", "token-1")
    assert lender.leases == asked == 2


@pytest.mark.parametrize(
    ("needed", "scopes", "result"),
    [
        (["read"], ["read", "write"], Step.RESULT_PASSED),
        (["read", "write"], ["read"], Step.RESULT_WARNING),
        (["read"], None, None),
        ([], ["read"], None),
    ],
    ids=["enough", "lacking", "no token", "none needed"],
)
def test_needed_scopes_are_compared_with_granted_ones(needed, scopes, result):
    """
    Where nobody can tell, nothing is told.
    """
    step = granted(needed, scopes)

    assert (step.result if step else None) == result
    assert not step or list(step.needed_permissions) == needed
