"""Who asks the token server when processes die, sleep too long, or lose the vault."""

import asyncio

import pytest
from isthmus.resilience.faults import Precondition


async def test_five_hundred_callers_of_two_replicas_make_one_refresh(rotating, refreshers, tenant, server):
    """
    Everybody gets the token of the one who asked.
    """
    config, row = await refreshers[0].load(tenant, await rotating())

    got = await asyncio.gather(*(refreshers[turn % 2].current(config, row) for turn in range(500)))

    assert len(server.asked) == 1
    assert {one.value for one in got} == server.good


async def test_a_refresher_that_died_before_asking_is_followed_by_another(
    rotating, refreshers, tenant, server
):
    """
    Its lease ends, and nobody has to mend anything.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    await refreshers[0].claim(config, row)

    got = await refreshers[1].current(config, row)

    assert got.value in server.good
    assert len(server.asked) == 1


async def test_what_a_refresher_stored_before_it_died_is_found(rotating, refreshers, tenant, server):
    """
    The token and the rotated refresh token are in the vault; the next one takes them up.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    own = await refreshers[0].claim(config, row)
    token, _ = await refreshers[0]._got(config, own, row)

    got = await refreshers[1].current(config, row)

    assert got == token
    assert len(server.asked) == 1


async def test_one_who_wakes_up_late_with_the_only_good_refresh_token_mends_it(
    rotating, refreshers, tenant, server
):
    """
    Its lease went to another, whom the token server refused; what it brings counts all the same.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    refreshers[0].fall_silent()
    server.hold = slow = asyncio.Event()
    late = asyncio.create_task(refreshers[0].current(config, row))
    await server.arrival()
    server.hold = None
    with pytest.raises(Precondition):
        await refreshers[1].current(config, row)
    slow.set()
    await late

    _, row = await refreshers[1].load(tenant, config.auth_config_id)
    assert (await refreshers[1].current(config, row)).value in server.good


async def test_a_vault_that_is_away_when_the_answer_comes_loses_nothing(
    rotating, refreshers, tenant, vault, server
):
    """
    The rotated refresh token is kept until the vault takes it.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    server.hold = asyncio.Event()
    waiting = asyncio.create_task(refreshers[0].current(config, row))
    await server.arrival()
    vault.kill()
    server.hold.set()
    vault.start()

    assert (await waiting).value in server.good
