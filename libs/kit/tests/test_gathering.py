"""Work that comes while the same kind of work is under way is done together."""

import asyncio

import pytest
from isthmus.kit.gathering import Gathered
from isthmus.resilience.faults import Missing, Precondition, RetryLater


class Desk:
    """Does what it is told, and notes how; `gate` holds a turn back."""

    def __init__(self, **options):
        self.turns, self.alone, self.gate = [], [], asyncio.Event()
        self.gate.set()
        self.failure = None
        self.ask = Gathered(self._together, self._alone, **options)

    async def _together(self, key, requests):
        self.turns.append((key, list(requests)))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        odd = {"bad": Precondition("BAD", "It is bad."), "left": None}
        return [odd.get(one, f"{one} done") for one in requests]

    async def _alone(self, key, request):
        self.alone.append(request)
        if request == "wrong":
            raise Missing("WRONG", "It is not there.")
        return f"{request} alone"

    async def busy(self, *requests, key="k"):
        """Ask for these while a first one is under way; gives the results of all."""
        self.gate.clear()
        tasks = [asyncio.create_task(self.ask(key, "first"))]
        while not self.turns:
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(self.ask(key, one)) for one in requests]
        await asyncio.sleep(0)
        self.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_meanwhile_is_done_in_one_turn():
    """
    The first request goes at once; those that come while it is under way go together, in their order.
    """
    desk = Desk()
    found = await desk.busy("a", "b", "c")

    assert desk.turns == [("k", ["first"]), ("k", ["a", "b", "c"])]
    assert found == ["first done", "a done", "b done", "c done"]


async def test_a_turn_is_bounded():
    """
    What does not fit into one turn goes with the next one.
    """
    desk = Desk(most=2)
    await desk.busy("a", "b", "c")

    assert [requests for _, requests in desk.turns] == [["first"], ["a", "b"], ["c"]]


async def test_each_has_its_own_end():
    """
    One is refused, one is left undone and done alone; the others do not notice.
    """
    desk = Desk()
    _, refused, alone, done = await desk.busy("bad", "left", "c")

    assert (refused.reason, alone, done) == ("BAD", "left alone", "c done")


@pytest.mark.parametrize(
    "failure", [KeyError("unforeseen"), Precondition("ODD", "Odd.")], ids=["defect", "fault"]
)
async def test_a_turn_that_fails_is_done_again_one_by_one(failure):
    """
    Whatever goes wrong with several is tried with each alone, and only who is to blame hears of it.
    """
    desk = Desk(concerns_all=lambda fault: fault.reason == "AWAY")
    desk.failure = failure
    _, good, wrong = await desk.busy("a", "wrong")

    assert (good, wrong.reason) == ("a alone", "WRONG")


async def test_a_fault_that_concerns_all_is_told_to_all():
    """
    Where nobody knows what became of a turn, it is not done again.
    """
    desk = Desk(concerns_all=lambda fault: fault.reason == "AWAY")
    desk.failure = RetryLater("AWAY", "It is away.")
    found = await desk.busy("a", "b")

    assert ([one.reason for one in found], desk.alone) == (["AWAY"] * 3, [])


async def test_who_has_gone_away_is_left_out():
    """
    A request whose caller was cancelled before its turn is not done.
    """
    desk = Desk()
    desk.gate.clear()
    first, gone, stays = (asyncio.create_task(desk.ask("k", one)) for one in ("first", "gone", "stays"))
    while not desk.turns:
        await asyncio.sleep(0)
    late = asyncio.create_task(desk.ask("k", "late"))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    desk.gate.set()
    await asyncio.gather(first, gone, stays)

    assert "late" not in [one for _, requests in desk.turns for one in requests]


async def test_keys_do_not_wait_for_one_another():
    """
    What is held back for one tenant is done for another.
    """
    desk = Desk()
    desk.gate.clear()
    held = asyncio.create_task(desk.ask("one", "a"))
    while not desk.turns:
        await asyncio.sleep(0)
    other = asyncio.create_task(desk.ask("two", "b"))
    while len(desk.turns) < 2:
        await asyncio.sleep(0)
    desk.gate.set()

    assert await asyncio.gather(held, other) == ["a done", "b done"]


async def test_turns_follow_one_another_at_a_pace():
    """
    After a turn the next one waits for its time, and all that come until then go along; a rest ends the wait.
    """
    desk = Desk(pace=0.2)
    await desk.ask("k", "a")
    await asyncio.gather(*(desk.ask("k", one) for one in "bcd"))

    assert [requests for _, requests in desk.turns] == [["a"], ["b", "c", "d"]]
