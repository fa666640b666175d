import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.kit.admission import Admission, Bounds, Room
from isthmus.kit.overload import Overload
from isthmus.kit.principal import Principal
from isthmus.resilience.faults import LimitReached

USER = Principal("usr_1", "tnt_a", frozenset({"*"}), "user")
PEER = Principal("service:scheduling", "tnt_a", frozenset({"*"}), "mesh")
MESH = Principal("service:scheduling", "", frozenset({"*"}), "mesh")


def room_of(places=2, share=2, waiting=100, waiting_share=100, **more):
    bounds = Bounds(places=places, share=share, waiting=waiting, waiting_share=waiting_share, **more)
    return Room("calls", bounds)


async def queued(room, *keys):
    """Calls that wait, one for each key."""
    before = room.waiting
    tasks = [asyncio.create_task(room.wait(key)) for key in keys]
    while room.waiting < before + len(keys):
        await asyncio.sleep(0)
    return tasks


async def test_places_go_round_the_tenants():
    """
    Whoever comes behind a crowd of one tenant has its turn after one call of that crowd.
    """
    room = room_of(places=1)
    place, order = room.enter("a"), []
    tasks = await queued(room, "a", "a", "a", "b", "c")
    for name, task in zip("aaabc", tasks, strict=True):
        task.add_done_callback(lambda _, name=name: order.append(name))
    for _ in tasks:
        place.leave()
        place = await next(iter((await asyncio.wait(tasks, return_when="FIRST_COMPLETED"))[0]))
        tasks = [task for task in tasks if not task.done()]
    place.leave()

    assert order == ["a", "b", "c", "a", "a"]
    assert (room.working, room.waiting) == (0, 0)


async def test_no_tenant_takes_all_places():
    """
    What is beyond a tenant's share stays free for others.
    """
    room = room_of(places=4, share=3)
    taken = [room.enter("a") for _ in range(4)]

    assert taken[3] is None
    assert room.enter("b") is not None


async def test_a_tenant_that_waits_enough_is_told_to_come_back():
    """
    The refusal names the quota, and others may still wait.
    """
    room = room_of(places=2, share=1, waiting_share=2)
    place = room.enter("a")
    waiting = await queued(room, "a", "a")
    with pytest.raises(LimitReached) as refused:
        await room.wait("a")
    other = room.enter("b")
    place.leave()
    (await waiting[0]).leave()
    (await waiting[1]).leave()

    assert other is not None
    assert (refused.value.reason, refused.value.metadata["limit"]) == ("TENANT_BUSY", "1")
    assert refused.value.retry_after > 0


@pytest.mark.parametrize("seconds", [0.0, 0.01], ids=["at once", "in time"])
async def test_nobody_waits_beyond_its_deadline(seconds):
    """
    A call whose time is over is refused, and its place in the line is free.
    """
    room = room_of(places=1)
    place = room.enter("a")
    with pytest.raises(LimitReached):
        await room.wait("b", seconds=seconds)
    place.leave()

    assert (room.working, room.waiting) == (0, 0)
    assert room.enter("b") is not None


async def test_what_waits_is_bounded_in_bytes():
    """
    Large requests do not fill the memory while they wait.
    """
    room = room_of(places=1, waiting_bytes=100)
    place = room.enter("a")
    waiting = asyncio.create_task(room.wait("a", 80))
    while not room.waiting:
        await asyncio.sleep(0)
    with pytest.raises(LimitReached, match="this service"):
        await room.wait("", 30)
    place.leave()
    (await waiting).leave()

    assert (await room.wait("b", 30)).working == 1


@given(script=st.lists(st.tuples(st.sampled_from(["come", "leave", "give up"]), st.sampled_from("abc"))))
async def test_places_are_never_lost(script):
    """
    Whoever comes, leaves and gives up in whatever order: no place too many, none too few.
    """
    room, inside, waiting = room_of(places=2, share=2), [], []
    for what, key in script:
        if what == "come":
            place = room.enter(key)
            if place is None:
                waiting += await queued(room, key)
            else:
                inside.append(place)
        elif what == "leave" and inside:
            inside.pop(0).leave()
        elif what == "give up" and waiting:
            waiting.pop(0).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        inside += [task.result() for task in waiting if task.done() and not task.cancelled()]
        waiting = [task for task in waiting if not task.done()]
        assert room.working == len(inside) <= 2
        assert len(inside) == 2 or not waiting
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert room.waiting == 0


async def test_users_take_no_places_of_the_mesh():
    """
    However much users do, peers and the mesh's housekeeping go on.
    """
    one = Bounds(places=1, share=1)
    admission = Admission(one, one)
    admission.enter(USER)

    assert admission.enter(USER) is None
    assert admission.enter(PEER) is not None
    assert admission.enter(MESH) is not None
    admission.overload.stop()


def test_overload_begins_late_and_passes_by_itself():
    """
    One hiccup is none; a loop that stays late or a database that keeps calls waiting is.
    """
    told = []
    overload = Overload(lambda: True, lambda: 0.0, told.append)
    overload.note(60.0, 60.0)
    assert told == []
    overload.note(0.0, 0.0)
    for _ in range(5):
        overload.note(0.5, 0.0)
    for _ in range(5):
        overload.note(0.0, 0.0)
    for _ in range(5):
        overload.note(0.0, 2.0)

    assert told == [True, False, True]


async def test_an_overloaded_process_takes_less_and_then_all_again():
    """
    While it lasts a quarter of the places is given; whoever waits comes in when it has passed.
    """
    room = room_of(places=40, share=40)
    room.narrow(True)
    taken = [room.enter("a") for _ in range(40)]
    (waiting,) = await queued(room, "a")
    room.narrow(False)
    await waiting

    assert len([place for place in taken if place]) == 10
    assert room.working == 11
