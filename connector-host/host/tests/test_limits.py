"""An instance's own limits, from the registry to the session that keeps to them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Bound
from isthmus.host.binding import Leases, Resolver
from isthmus.host.guarding import InstanceGuards
from isthmus.host.local import LocalBackend
from isthmus.host.upstream import binding_message
from isthmus.kit import acting_for
from isthmus.sdk import ConfigurationFailure

LIMITS = {"retry": {"attempts": 2}, "rate": "5/s"}
BOUND = Bound("tnt_test", "ins_source", revision=1, limits=LIMITS)


async def resolved(world: Any, binding: connector.Binding) -> Bound:
    with acting_for(world.tenant):
        return await Resolver(world.control, Leases(world.control, "hst")).resolve(world.tenant, binding)


async def test_a_session_keeps_to_the_limits_of_its_instance(world):
    """
    What the registry holds reaches the connector's context; what it leaves out has its default.
    """
    world.registry.limits = LIMITS
    bound = await resolved(world, connector.Binding(instance_id="ins_source"))

    async with world.backend.sessions.use(bound) as held:
        limits = held.session.context.limits

    assert (limits.retry.attempts, limits.retry.total, limits.rate) == (2, 300.0, "5/s")


async def test_a_change_takes_effect_with_the_next_use(world):
    """
    Other limits are another revision, so the next execution gets another session.
    """
    tries = []
    for attempts in (2, 7):
        world.registry.limits = {"retry": {"attempts": attempts}}
        bound = await resolved(world, connector.Binding(instance_id="ins_source"))
        async with world.backend.sessions.use(bound) as held:
            tries.append(held.session.context.limits.retry.attempts)

    assert tries == [2, 7]


async def test_limits_travel_to_a_connector_behind_the_host(world):
    """
    The binding takes them along, and a host behind reads them out of it.
    """
    message = binding_message(replace(BOUND, configuration={"count": 1}))
    behind = await resolved(world, message)

    assert msgspec.json.decode(message.limits) == LIMITS
    assert behind.limits == LIMITS


def test_sessions_of_an_instance_share_their_guards_until_the_limits_change():
    """
    A new configuration or secret forgets nothing about the system; other limits begin afresh.
    """
    guards = InstanceGuards()
    first = guards.of(BOUND)

    assert guards.of(replace(BOUND, revision=2, secret_version=3)) is first
    assert guards.of(replace(BOUND, instance_id="ins_other")) is not first
    assert guards.of(replace(BOUND, tenant_id="tnt_other")) is not first
    assert guards.of(replace(BOUND, limits={})) is not first
    assert guards.of(replace(BOUND, instance_id="")) is not guards.of(replace(BOUND, instance_id=""))


async def test_limits_that_are_not_allowed_are_told_by_the_check(counter):
    """
    They are part of the configuration, so its step fails; opening a session is refused.
    """
    backend, wrong = LocalBackend(counter), replace(BOUND, limits={"concurrent": 0})
    steps = [step async for step in backend.check(wrong)]

    with pytest.raises(ConfigurationFailure, match=r"limits\.concurrent"):
        async with backend.connect(wrong):
            pass

    assert (steps[0].step, steps[0].reason) == ("configuration", "LIMITS_INVALID")
