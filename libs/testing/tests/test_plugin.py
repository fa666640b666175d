"""The fixtures give working servers."""

import socket
from types import SimpleNamespace

import grpc.aio
import nats
import psycopg
import pytest
from isthmus.testing.canaries import canary, noted
from isthmus.testing.collector import collecting
from isthmus.testing.plugin import pytest_runtest_makereport


def test_databases_are_fresh(postgres):
    """
    Two databases of one server do not know each other.
    """
    first, second = postgres.database(), postgres.database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE here (one int)")

    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('here')").fetchone() == (None,)


def test_database_fixture_is_empty(database):
    """
    The database of a test has no tables.
    """
    with psycopg.connect(database) as connection:
        count = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()

    assert count == (0,)


async def test_nats_has_jetstream(nats_url):
    """
    Streams can be made with the account of the address.
    """
    client = await nats.connect(nats_url)
    info = await client.jetstream().account_info()
    await client.close()

    assert info.streams >= 0


def test_vault_is_unsealed(vault):
    """
    The vault takes a secret at once.
    """
    client = vault.root()
    client.secrets.kv.v2.create_or_update_secret("x", secret={"a": "b"}, mount_point="secret")

    assert client.secrets.kv.v2.read_secret("x")["data"]["data"] == {"a": "b"}


def test_free_port_is_free(free_port):
    """
    A server can listen on the port at once.
    """
    with socket.create_server(("127.0.0.1", free_port)) as server:
        assert server.getsockname()[1] == free_port


@pytest.mark.parametrize(
    ("shown", "outcome"), [("harmless", "passed"), (canary("log"), "failed")], ids=["harmless", "planted"]
)
def test_a_test_whose_output_shows_a_planted_secret_fails(shown, outcome):
    """
    Whatever it asserts: the log of a service that it runs is part of its output.
    """
    report = SimpleNamespace(
        sections=[("Captured log call", f"a {shown} word")], passed=True, outcome="passed"
    )
    hook = pytest_runtest_makereport()
    next(hook)
    with pytest.raises(StopIteration) as ended:
        hook.send(report)

    assert ended.value.value.outcome == outcome


@pytest.mark.parametrize("place", ["message", "details"])
async def test_a_test_that_gets_an_error_with_a_planted_secret_fails(place):
    """
    Whatever it makes of the error, be it told in words or packed into what machines read.
    """
    shown = {place: canary("error")}

    class Refusing(grpc.GenericRpcHandler):
        def service(self, _details):
            async def refuse(_request, context):
                packed = (("grpc-status-details-bin", shown.get("details", "").encode()),)
                await context.abort(grpc.StatusCode.UNAVAILABLE, shown.get("message", ""), packed)

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Refusing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/x/y")(b"")
    await server.stop(None)

    assert set(noted()) == {"an error of a call"}
    assert noted() == []


async def test_a_collector_keeps_what_it_is_sent():
    """
    As it came, so that texts in it can be found.
    """
    export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    with collecting() as collector:
        async with grpc.aio.insecure_channel(collector.endpoint.removeprefix("http://")) as channel:
            await channel.unary_unary(export)(b"span x")

    assert collector.text == b"span x"
