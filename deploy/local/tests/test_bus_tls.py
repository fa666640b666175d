"""A real NATS with a certificate of the vault's: who gets in, who is believed, what a new one disturbs."""

import asyncio
import ssl
from contextlib import suppress

import nats
import pytest
from isthmus.kit import Bus, bus_users
from isthmus.kit.bus import BusLogin, BusServer
from isthmus.local.backends import EmbeddedNats
from isthmus.local.issued import authority_file, certificate_file
from isthmus.local.issuing import issue
from isthmus.local.names import NATS

SUBJECT = "isthmus.v1.tnt_a.scheduling.sync.completed"


@pytest.fixture(scope="module")
def certify(vault, tmp_path_factory):
    """Has the vault issue a new certificate, and tells where it lies."""
    folder = tmp_path_factory.mktemp("tls")

    def certified():
        issue(vault.place, [NATS], folder, 600)
        return folder

    return certified


@pytest.fixture(scope="module")
def server(certify, tmp_path_factory):
    server = EmbeddedNats(tmp_path_factory.mktemp("nats"), fast=True)
    server.certificate = certificate_file(certify(), NATS)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def authority(server):
    return authority_file(server.certificate.parent)


@pytest.fixture
async def bus_at(server):
    """Lets a process of the mesh look for a bus."""
    login = BusLogin(bus_users.user_named("scheduling"), server.users.password_file("scheduling"))
    opened = []

    def begin(place):
        bus = Bus(place, "scheduling", login)
        opened.append((bus, asyncio.create_task(bus.run())))
        return bus

    yield begin
    for bus, task in opened:
        task.cancel()
        with suppress(nats.errors.Error):
            await bus.close()


async def shown(server, authority):
    """Gives the certificate that the server shows now."""
    place = server.ports["nats"]
    reader, writer = await asyncio.open_connection("127.0.0.1", place)
    await reader.readline()
    await writer.start_tls(ssl.create_default_context(cafile=authority), server_hostname="127.0.0.1")
    found = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    return found


async def test_the_certificate_names_the_server_and_its_address(server, authority):
    """
    One name for meshes, one for us, and those by which every client checks it.
    """
    names = (await shown(server, authority))["subjectAltName"]

    assert set(names) == {
        ("URI", "spiffe://isthmus.local/server/nats"),
        ("DNS", "nats.server.isthmus.local"),
        ("DNS", "localhost"),
        ("IP Address", "127.0.0.1"),
    }


async def test_who_speaks_plain_text_is_put_out(server):
    """
    Also with the right password.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["nats"])
    user = f'{{"user": "isthmus", "pass": "{server.users.password("isthmus")}"}}'
    writer.write(f"CONNECT {user}\r\nPING\r\n".encode())
    heard = await reader.read()

    assert b"PONG" not in heard
    writer.close()


async def test_a_server_for_which_nobody_vouches_is_not_believed(server, bus_at, caplog):
    """
    The authorities of the system do not know the mesh's, so nothing is told; the log says what is missing.
    """
    bus = bus_at(BusServer(server.address))

    async with asyncio.timeout(120):
        while not (told := [one for one in caplog.records if "NATS_CA_FILE" in one.getMessage()]):
            await asyncio.sleep(0.02)
    assert "certificate verify failed" in told[0].fields["why"].lower()
    assert not bus.client.is_connected


async def test_no_password_goes_to_a_server_without_tls(authority, bus_at, caplog):
    """
    Whoever stands in between and says that TLS is not wanted hears nothing.
    """
    heard = []

    async def pretend(reader, writer):
        writer.write(b'INFO {"server_id": "X", "auth_required": true, "max_payload": 1048576}\r\n')
        heard.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(pretend, "127.0.0.1", 0) as liar:
        port = liar.sockets[0].getsockname()[1]
        bus_at(BusServer(f"nats://127.0.0.1:{port}", authority))
        async with asyncio.timeout(120):
            while not heard:
                await asyncio.sleep(0.02)

    assert not any(heard)
    assert any(
        "secure connection required" in str(one.fields) for one in caplog.records if one.levelname == "ERROR"
    )


async def test_a_new_certificate_loses_no_event_and_no_connection(server, authority, certify, bus_at):
    """
    What is published meanwhile is stored; who connects later sees the new one, also after a crash.
    """
    bus = bus_at(BusServer(server.address, authority))
    await bus.ready()
    before, client = await shown(server, authority), bus.client._client_id

    certify()
    server.take_certificate()
    places = [await bus.publish(SUBJECT, b"{}", message_id=f"evt_{number}") for number in range(200)]
    async with asyncio.timeout(120):
        while (await shown(server, authority))["serialNumber"] == before["serialNumber"]:
            await asyncio.sleep(0.05)

    assert len(set(places)) == 200
    assert bus.client._client_id == client
    server.kill()
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(120):
        while not bus.client.is_connected:
            await asyncio.sleep(0.05)
        await bus.publish(SUBJECT, b"{}")
