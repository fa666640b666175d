"""The monitoring endpoints of NATS and OpenBao, which we did not write."""

import pytest
from isthmus.connectors.http_json import HttpJson
from isthmus.sdk.runtime import Session

NATS = [
    {"name": "server", "path": "/varz", "shape": "object", "key": ["server_id"]},
    {"name": "jetstream", "path": "/jsz", "shape": "object", "key": ["server_id"]},
    {"name": "routes", "path": "/routez", "records_path": "routes", "key": ["rid"]},
    {"name": "accounts", "path": "/accountz", "records_path": "accounts"},
]


async def read(session, stream):
    return [record for page in [page async for page in await session.read(stream)] for record in page.records]


async def test_nats_tells_about_itself(nats_server):
    """
    Single objects, a list of records, and a list of texts.
    """
    async with Session(HttpJson, {"base_url": nats_server.monitor_url, "streams": NATS}) as session:
        server, jetstream = await read(session, "server"), await read(session, "jetstream")
        routes, accounts = await read(session, "routes"), await read(session, "accounts")

    assert server[0]["server_id"] == jetstream[0]["server_id"]
    assert (server[0]["jetstream"]["config"]["max_storage"] > 0, routes) == (True, [])
    assert "SYS" in [account["value"] for account in accounts]


async def test_check_of_nats_passes(nats_server):
    """
    Every stream is sampled.
    """
    session = Session(HttpJson, {"base_url": nats_server.monitor_url, "streams": NATS})

    assert {step.result async for step in session.check()} == {"passed"}


@pytest.mark.slow
async def test_openbao_tells_its_health(vault):
    """
    One record, with the identity of the cluster.
    """
    stream = {"name": "health", "path": "/v1/sys/health", "shape": "object", "key": ["cluster_id"]}
    place = {"base_url": vault.address, "authorities": vault.ca_file.read_text()}
    async with Session(HttpJson, {**place, "streams": [stream]}) as session:
        health = await read(session, "health")

    assert (health[0]["initialized"], health[0]["sealed"]) == (True, False)
