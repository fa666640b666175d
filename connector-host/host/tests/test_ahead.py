"""Working ahead of whoever takes the results."""

import asyncio
from contextlib import aclosing

import pytest
from isthmus.host.ahead import ahead
from isthmus.testing.waiting import waiting_for


async def test_the_next_result_is_made_while_the_last_one_is_in_use():
    """
    Order stays, and no more than two results wait.
    """
    made, begun = [], asyncio.Event()

    async def produce():
        for number in range(9):
            made.append(number)
            if number == 2:
                begun.set()
            yield number

    async with aclosing(ahead(produce())) as coming:
        first = await anext(coming)
        await begun.wait()
        most = len(made)
        rest = [number async for number in coming]

    assert [first, *rest] == list(range(9))
    assert most <= 4


async def test_a_failure_comes_behind_the_results_before_it():
    """
    What was sent before the mistake is still acknowledged.
    """

    async def produce():
        yield 1
        raise ValueError("bad")

    coming = ahead(produce())

    assert await anext(coming) == 1
    with pytest.raises(ValueError, match="bad"):
        await anext(coming)


async def test_leaving_stops_the_production():
    """
    Nobody reads on for a caller that went away.
    """
    stopped = asyncio.Event()

    async def produce():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with aclosing(ahead(produce())) as coming:
        await anext(coming)

    async with waiting_for("the reading to stop"):
        await stopped.wait()
