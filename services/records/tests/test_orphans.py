"""Links of deleted flows: told apart, kept for a year, then forgotten."""

import asyncio
import uuid

from isthmus.records.v1 import links_pb2 as pb
from isthmus.records.v1 import links_pb2_grpc as pb_grpc
from isthmus.testing.waiting import waiting_for


def links_of(hub):
    """Gives the service of links, as the hub's tenant."""
    return pb_grpc.LinksServiceStub(hub.service.channel(tenant=hub.tenant))


async def linked(hub, flow, *keys):
    """Announces records and has them created; gives the stub."""
    stub, claim = links_of(hub), uuid.uuid4().hex
    intents = [pb.Intent(key=key, content_hash=b"a", operation=1) for key in keys]
    await stub.PutIntents(pb.PutIntentsRequest(flow_id=flow, fencing_token=1, claim=claim, intents=intents))
    settlements = [pb.Settlement(key=key, result=1, external_id=f"T-{key}") for key in keys]
    await stub.SettleIntents(pb.SettleIntentsRequest(flow_id=flow, claim=claim, settlements=settlements))
    return stub


def delete(hub, flow, days):
    """Notes that a flow was deleted so many days ago."""
    hub.sql(
        f"UPDATE records.link_flows SET delete_time = now() - interval '{days} days', flow_name = 'tickets' "
        f"WHERE tenant_id = '{hub.tenant}' AND flow_id = '{flow}' RETURNING 1"
    )


async def flows(stub, **options):
    """Lists whose links there are, as (id, name, links)."""
    found = await stub.ListLinkFlows(pb.ListLinkFlowsRequest(**options))
    return [(one.flow_id, one.flow_name, one.links) for one in found.flows]


async def test_links_of_a_deleted_flow_are_told_apart(hub, other):
    """
    They can be listed and forgotten by the flow's id; other tenants see none.
    """
    stub = await linked(hub, "flw_gone", "a", "b")
    await linked(hub, "flw_here", "a")
    delete(hub, "flw_gone", 1)
    both, orphaned = await flows(stub), await flows(stub, only_orphaned=True)
    forgotten = await stub.DeleteLinks(pb.DeleteLinksRequest(flow_id="flw_gone", all=True))

    assert both == [("flw_gone", "tickets", 2), ("flw_here", "", 1)]
    assert orphaned == [("flw_gone", "tickets", 2)]
    assert forgotten.deleted == 2
    assert await flows(stub) == [("flw_here", "", 1)]
    assert await flows(links_of(other)) == []


async def test_links_of_a_flow_that_was_deleted_a_year_ago_are_forgotten(running, hub_of):
    """
    Those of one that was deleted later stay.
    """
    async with running("records", prune_seconds=0.1) as service:
        hub = hub_of(service)
        stub = await linked(hub, "flw_later", "a")
        await linked(hub, "flw_long_ago", "a")
        delete(hub, "flw_later", 300)
        delete(hub, "flw_long_ago", 400)
        async with waiting_for("the deleted flow to be forgotten"):
            while len(await flows(stub)) > 1:
                await asyncio.sleep(0.1)

        assert await flows(stub) == [("flw_later", "tickets", 1)]
