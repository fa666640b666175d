"""What a host remembers of instances and of other hosts, and when it asks again."""

from typing import Any

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.kit import acting_for
from isthmus.sdk.runtime import Credential


@pytest.mark.parametrize(
    ("etag", "count"),
    [("1", 10), ("2", 20), ("", 20)],
    ids=["known under this etag", "changed since", "nobody knows"],
)
async def test_an_instance_is_read_unless_it_is_known_under_its_etag(
    world: Any, etag: str, count: int
) -> None:
    """
    Only whoever is told the etag under which the instance is known does without asking.
    """
    resolver = world.tools().preparing.resolver
    binding = connector.Binding(instance_id="ins_source")
    world.registry.etag, world.registry.configuration = "1", {"count": 10}
    with acting_for(world.tenant):
        await resolver.configuration(world.tenant, binding)
        world.registry.etag, world.registry.configuration = "2", {"count": 20}
        binding.etag = etag
        bound = await resolver.configuration(world.tenant, binding)

    assert bound.configuration == {"count": count}


async def test_an_instance_is_known_to_its_own_tenant_only(world: Any) -> None:
    """
    Another tenant that names the same instance and etag has to ask.
    """
    resolver = world.tools().preparing.resolver
    world.registry.etag = "1"
    binding = connector.Binding(instance_id="ins_source", etag="1")
    for tenant in (world.tenant, "tnt_other"):
        with acting_for(tenant):
            await resolver.configuration(tenant, binding)

    assert world.registry.asked == 2


async def test_further_secrets_come_with_the_lease(world: Any) -> None:
    """
    A connector finds them beside the secret of the method.
    """
    world.registry.auth_config_id, world.vault.further = "ath_1", {"token": "the further one"}
    resolver = world.tools().preparing.resolver
    with acting_for(world.tenant):
        bound = await resolver.resolve(world.tenant, connector.Binding(instance_id="ins_source"))
    credential = Credential.from_material(bound.material)

    assert (credential.secret, dict(credential.fields)) == ("old", {"token": "the further one"})
    assert "the further one" not in repr(bound)


async def test_a_host_that_failed_is_looked_for_anew(world: Any) -> None:
    """
    Another execution takes the host that was found; asking again after a failure does not.
    """
    preparing = world.tools().preparing
    with acting_for(world.tenant):
        await preparing.way_to(world.tenant, "ins_there")()
        again = preparing.way_to(world.tenant, "ins_there")
        await again()
        found = world.registry.resolved
        await again()

    assert (found, world.registry.resolved) == (1, 2)
