"""What others hear of connectors and instances."""

import json

import nats
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.testing.waiting import PATIENCE_SECONDS

from .conftest import Callers, draft, spec


async def test_each_change_is_announced_once(open_mesh, nats_url):
    """
    Creating, deactivating and deleting an instance are three events on its tenant's subjects, in order.
    """
    async with open_mesh() as mesh:
        callers = Callers(await mesh.start("registry"))
        client = await nats.connect(nats_url)
        heard = await client.subscribe("isthmus.v1.>")
        await callers.mesh().RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        stub = callers.tenant("tnt_e")
        its_id = {"instance_id": (await stub.CreateInstance(draft())).instance.instance_id}
        await stub.DeactivateInstance(pb.DeactivateInstanceRequest(**its_id))
        await stub.DeactivateInstance(pb.DeactivateInstanceRequest(**its_id))
        await stub.DeleteInstance(pb.DeleteInstanceRequest(**its_id))
        messages = [await heard.next_msg(timeout=PATIENCE_SECONDS) for _ in range(4)]
        await client.close()
    events = [json.loads(message.data) for message in messages]

    assert [message.subject for message in messages] == [
        "isthmus.v1.installation.registry.connector.registered",
        "isthmus.v1.tnt_e.registry.instance.created",
        "isthmus.v1.tnt_e.registry.instance.deactivated",
        "isthmus.v1.tnt_e.registry.instance.deleted",
    ]
    assert events[1]["data"]["instance"]["name"] == "prod"
    assert events[1]["data"]["changedBy"]
