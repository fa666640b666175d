"""Servers that are too old for a mesh, met by a process that nobody else has looked for."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from isthmus.kit import floors
from isthmus.kit.bus import Bus
from isthmus.kit.vault.login import TokenFile
from isthmus.kit.vault.openbao import OpenBaoVault
from isthmus.resilience.faults import Fault, Precondition
from isthmus.testing.waiting import PATIENCE_SECONDS, eventually


@asynccontextmanager
async def nats(version):
    """Gives the address of what says to be NATS of a version, and answers pings."""

    async def talk(reader, writer):
        told = {"server_id": "X", "version": version, "max_payload": 1 << 20, "headers": True, "proto": 1}
        writer.write(f"INFO {json.dumps(told)} \r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with closing(server):
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextmanager
def vault(health):
    """Gives the address of a vault that tells its health and has no secrets."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self):
            is_health = self.path == "/v1/sys/health"
            body = json.dumps(health if is_health else {"errors": []}).encode()
            self.send_response(200 if is_health else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def test_a_bus_that_is_too_old_is_left():
    """
    Each time the process comes back, until somebody upgrades it; nothing is stored there.
    """
    async with nats("2.12.5") as address:
        bus = Bus(address, "demo")
        for _ in range(2):
            with pytest.raises(Precondition, match=r"NATS 2\.12\.5 .* 2\.12\.6") as refused:
                await asyncio.wait_for(bus.run(), PATIENCE_SECONDS)
        await bus.close()

    assert refused.value.reason == "SERVER_TOO_OLD"
    assert not bus.client.is_connected


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({"version": "2.5.3", "initialized": True}, "SERVER_TOO_OLD"),
        ({"version": "1.15.0", "enterprise": False}, "SECRET_UNKNOWN"),
        ({}, "SECRET_UNKNOWN"),
    ],
    ids=["old", "another maker's", "silent"],
)
async def test_a_vault_that_is_too_old_gets_no_token(tmp_path, health, reason):
    """
    One of another maker, or that tells nothing, is asked like any other.
    """
    token = tmp_path / "token"
    token.write_text("t")

    async def told():
        try:
            return await OpenBaoVault(address, TokenFile(token), service="demo").read("x")
        except Fault as refused:
            return refused.reason

    with vault(health) as address:
        # A call that takes a second is given up, which is long enough but for a machine with much else to do.
        found = await eventually(told, "an answer", such=lambda got: got != "VAULT_UNREACHABLE")

    assert found == reason


async def test_a_database_that_is_too_old_is_not_used(db, monkeypatch):
    """
    It says its version to whoever logs in, so looking costs no question.
    """
    await db.close()
    monkeypatch.setitem(floors.FLOORS, floors.POSTGRESQL, (99, 0, 0))
    with pytest.raises(Precondition, match=r"PostgreSQL .* 99\.0\.0") as refused:
        async with db.system():
            pass

    assert refused.value.reason == "SERVER_TOO_OLD"


def test_versions_are_read_as_servers_tell_them():
    """
    PostgreSQL counts in one number.
    """
    assert floors.of_postgres(160004) == (16, 4, 0)
    assert floors.parsed("v2.12.6-RC.1") == (2, 12, 6)
    assert not floors.safe(floors.NATS, floors.parsed("unknown"))
