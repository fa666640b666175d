"""One person's data, looked for in every service of a mesh."""

import asyncio

import pytest
from isthmus.testing.contract import GOOD_TEXTS, Filler

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

ADA = "ada.canary@example.org"
CREATING = (
    "credentials.CreateAuthConfig",
    "identity.CreateServiceAccount",
    "mapping.CreateMapping",
    "registry.CreateInstance",
)
OWN = {"records", "connector"}
"""Whose RPCs the service serves that erases."""


def remembers(rpc):
    """Tells whether an RPC gives the same answer again to a request that comes again."""
    return "request_id" in {field.name for field in rpc.method.input_type.fields}


def test_every_service_that_remembers_answers_can_be_asked_to_erase(world):
    """
    Also one that is written tomorrow.
    """
    remembering = {rpc.package for rpc in world.rpcs if remembers(rpc)} - OWN
    erasing = {rpc.package for rpc in world.rpcs if rpc.name == "RedactTexts"}

    assert remembering
    assert remembering <= erasing


async def test_answers_that_are_kept_lose_an_erased_person(world):
    """
    What was created stays; whoever repeats the request is told that its answer was erased.
    """
    tenant = await world.tenant()
    asked = GOOD_TEXTS | {
        "connector_id": "http-json",
        "description": f"made for {ADA}",
        "name": f"{tenant.word}-person",
        "request_id": "once",
        "secret": "",
    }

    async def call(name):
        rpc = world.rpc(name)
        return await world.callers.call(rpc, Filler(asked).requests(rpc), tenant.identity)

    made = [await call(name) for name in CREATING]
    told = await asyncio.to_thread(
        world.mesh.answer, "person", "erase", ADA, "--yes", "--action", "replace", env=tenant.env
    )
    again = [await call(name) for name in CREATING]

    assert [one.code.name for one in made] == ["OK"] * len(CREATING), [one.text for one in made]
    assert [one.reason for one in again] == ["ANSWER_ERASED"] * len(CREATING)
    assert ADA not in str(told)
