import asyncio

import pytest
from isthmus.testing import waiting
from isthmus.testing.waiting import eventually, until, waiting_for


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.01)


def test_the_first_answer_that_is_true_is_given():
    """
    It is asked again after anything that is false.
    """
    answers = iter([None, 0, "", "there"])

    assert until(lambda: next(answers), "an answer", pause=0) == "there"


async def test_what_an_answer_has_to_be_may_be_said():
    """
    The wait goes on after an answer that is true and not the one.
    """
    found = until(iter([1, 2, 3]).__next__, "three", such=lambda one: one == 3, pause=0)

    assert found == 3
    assert await eventually(iter([1, 2, 0]).__next__, "nothing", such=lambda one: not one, pause=0) == 0


async def test_answers_may_be_awaited():
    """
    A condition that is a coroutine is awaited each time, another one is just called.
    """
    answers = iter([[], ["there"]])

    async def ask():
        return next(answers)

    assert await eventually(ask, "an answer", pause=0) == ["there"]
    assert await eventually(lambda: "here", "an answer") == "here"


async def test_what_was_waited_for_in_vain_is_named(impatient):
    """
    Every way to wait tells in the end what has not come, and what came instead.
    """
    with pytest.raises(TimeoutError, match="in vain for the bus; the last answer was a car"):
        until(lambda: "a car", "the bus", such=lambda one: one == "a bus", pause=0)
    with pytest.raises(TimeoutError, match="in vain for the tram; the last answer was None"):
        await eventually(lambda: None, "the tram", pause=0)
    with pytest.raises(TimeoutError, match="in vain for the night train"):
        async with waiting_for("the night train"):
            await asyncio.Event().wait()


async def test_another_time_out_inside_stays_what_it_is():
    """
    What the block itself has found too late is not renamed.
    """
    with pytest.raises(TimeoutError, match="theirs"):
        async with waiting_for("ours"):
            raise TimeoutError("theirs")
