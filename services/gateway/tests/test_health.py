"""The gateway's two faces."""

import httpx
import pytest
from isthmus.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from isthmus.services.gateway.domain import SERVICES, MeshHealth, ServiceHealth, State


@pytest.fixture
async def gateway(open_mesh, free_port):
    async with open_mesh() as mesh:
        service = await mesh.start("gateway", http_listen=f"127.0.0.1:{free_port}", health_timeout=0.5)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http:
            yield service, http


async def test_health_names_each_service_that_does_not_answer(gateway):
    """
    A mesh of which only identity runs is not healthy, and the answer says why.
    """
    _, http = gateway

    answer = await http.get("/health")

    found = {item["service"]: item["status"] for item in answer.json()["services"]}
    assert answer.status_code == 503
    assert found.keys() == set(SERVICES)
    assert found["records"] == "unreachable"


async def test_version_and_liveness_need_no_other_service(gateway):
    """
    A probe of the gateway itself succeeds while others are away.
    """
    _, http = gateway

    assert (await http.get("/live")).status_code == 200
    assert (await http.get("/version")).json() == {"version": "0.1.0"}


async def test_unknown_paths_get_problem_details(gateway):
    """
    Errors over HTTP are RFC 9457 problem details.
    """
    _, http = gateway

    answer = await http.get("/nothing")

    assert answer.status_code == answer.json()["status"] == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_mesh_asks_over_grpc(gateway):
    """
    Both faces tell the same.
    """
    service, _ = gateway
    stub = gateway_pb2_grpc.GatewayServiceStub(service.channel("tnt_a"))

    answer = await stub.GetMeshHealth(gateway_pb2.GetMeshHealthRequest())

    assert {item.service for item in answer.services} == set(SERVICES)


def test_the_mesh_is_as_well_as_its_worst_service():
    """
    One unreachable service outweighs the rest.
    """
    found = [ServiceHealth("a", State.SERVING), ServiceHealth("b", State.UNREACHABLE)]

    assert MeshHealth("1", found).state is State.UNREACHABLE


async def test_what_is_too_large_is_refused_before_anybody_reads_it(gateway):
    """
    Bodies, headers and addresses have limits that hold for every path.
    """
    _, http = gateway

    told = await http.post("/nothing", content=b"x" * (1024 * 1024 + 1))
    untold = await http.post("/nothing", content=_pieces())
    long = await http.get("/nothing", params={"q": "x" * 9000})

    assert [told.status_code, untold.status_code, long.status_code] == [413, 413, 414]


async def _pieces():
    for _ in range(20):
        yield b"x" * 65536
