"""Questions that are asked for several at once."""

import asyncio

import pytest
from isthmus.kit.sharing import Shared
from isthmus.resilience.faults import Missing


class Peer:
    """Answers with how often it was asked, when it is told to."""

    def __init__(self):
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, key):
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        if key == "gone":
            raise Missing("GONE", "It is gone.")
        return number


async def _ask(shared, key="one"):
    task = asyncio.create_task(shared(key))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_who_comes_while_a_question_is_under_way_gets_the_answer_to_a_later_one():
    """
    What changed after the first question was asked must be seen by those who come then.
    """
    peer = Peer()
    shared = Shared(peer)

    first = await _ask(shared)
    others = [await _ask(shared) for _ in range(3)]
    peer.may_answer.set()

    assert [await first, *[await other for other in others]] == [1, 2, 2, 2]


async def test_different_questions_do_not_wait_for_one_another():
    """
    Keys are independent.
    """
    peer = Peer()
    shared = Shared(peer)

    one, other = await _ask(shared, "one"), await _ask(shared, "other")
    peer.may_answer.set()

    assert {await one, await other} == {1, 2}


async def test_everybody_hears_of_a_failure_and_nobody_afterwards():
    """
    A failure is not kept.
    """
    peer = Peer()
    shared = Shared(peer)
    peer.may_answer.set()

    asking = [await _ask(shared, "gone") for _ in range(2)]

    for one in asking:
        with pytest.raises(Missing):
            await one
    with pytest.raises(Missing):
        await shared("gone")


async def test_one_who_gives_up_takes_nobody_along():
    """
    The question goes on for the others.
    """
    peer = Peer()
    shared = Shared(peer)
    first = await _ask(shared)
    gives_up, stays = await _ask(shared), await _ask(shared)

    gives_up.cancel()
    peer.may_answer.set()

    assert [await first, await stays] == [1, 2]


async def test_busy_times_ask_at_the_pace_and_share_the_next_question():
    """
    A few questions go at once; who comes after them waits for one that is asked later, together.
    """
    peer = Peer()
    peer.may_answer.set()
    shared = Shared(peer, pace=0.05)
    at_once = [await shared("one") for _ in range(4)]

    waiting = [await _ask(shared) for _ in range(3)]

    assert at_once == [1, 2, 3, 4]
    assert [await one for one in waiting] == [5, 5, 5]
