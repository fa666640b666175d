import asyncio

import pytest
from isthmus.kit.pull import ConsumerGone, Pull
from isthmus.testing.waiting import waiting_for
from nats import connect
from nats.js import api


@pytest.fixture
async def stream(nats_url):
    """A stream with one consumer, and its connection."""
    client = await connect(nats_url)
    jetstream = client.jetstream()
    # From the disk, what earlier tests have deleted sometimes comes back with the name.
    await jetstream.add_stream(name="LETTERS", subjects=["letters.>"], storage=api.StorageType.MEMORY)
    config = api.ConsumerConfig(durable_name="reader", ack_policy=api.AckPolicy.EXPLICIT, ack_wait=60)
    await jetstream.add_consumer("LETTERS", config)
    yield client
    await jetstream.delete_stream("LETTERS")
    await client.close()


@pytest.fixture
async def pull(stream):
    made = Pull(stream, "LETTERS", "reader")
    yield made
    await made.close()


async def send(client, *texts):
    for text in texts:
        await client.jetstream().publish("letters.new", text.encode())


def told(messages):
    return [message.data.decode() for message in messages]


async def test_lone_message_is_given_at_once(stream, pull):
    """
    Whoever asked for eight does not wait for the other seven, nor after questions that nobody has answered.
    """
    assert await pull.some(8, 0.05) == []
    for text in "abcd":
        await send(stream, text)

        async with waiting_for("a batch"):
            found = await pull.some(8, 60.0)

        assert told(found) == [text]


async def test_silence_is_no_failure(stream, pull):
    """
    Neither of the time that was asked for nor within that of an earlier question.
    """
    await send(stream, "a")
    await pull.some(8, 60.0)

    assert await pull.some(8, 0.05) == []
    assert await Pull(stream, "LETTERS", "reader").some(8, 0.05) == []


async def test_messages_that_lie_ready_come_together_and_in_order(stream, pull):
    """
    No more than were asked for, and the rest with the next questions.
    """
    await send(stream, *"abcdefgh")

    found = []
    while len(found) < 8:
        some = told(await pull.some(3, 5.0))
        assert len(some) <= 3
        found += some

    assert found == [*"abcdefgh"]


async def test_open_question_is_answered_later(stream, pull):
    """
    A cancelled wait loses nothing: what comes for it is given to the next one.
    """
    waiting = asyncio.create_task(pull.some(4, 60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await send(stream, "a")

    async with waiting_for("a batch"):
        found = await pull.some(4, 60.0)

    assert told(found) == ["a"]


async def test_what_nobody_took_is_given_back(stream, pull):
    """
    Another reader gets it without a wait for the end of its time.
    """
    await send(stream, "a", "b")
    first = await pull.some(2, 5.0)
    left = pull._ready
    left.extend(first)
    await pull.close()

    again = Pull(stream, "LETTERS", "reader")
    found = []
    async with waiting_for("two messages"):
        while len(found) < 2:
            found += told(await again.some(2, 60.0))
    await again.close()

    assert sorted(found) == ["a", "b"]


async def test_lost_consumer_is_told(stream, pull):
    """
    Whether it goes while somebody waits or was gone before.
    """
    waiting = asyncio.create_task(pull.some(1, 60.0))
    while not pull._open:
        await asyncio.sleep(0.01)
    await stream.flush()
    await stream.jetstream().delete_consumer("LETTERS", "reader")

    async with waiting_for("the pull to notice"):
        with pytest.raises(ConsumerGone):
            await waiting
        with pytest.raises(ConsumerGone):
            await pull.some(1, 60.0)
