"""The embedded servers start, crash, come back and stop."""

import asyncio
import http.client
import json
import shutil
import ssl
import stat
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import nats
import psycopg
import pytest
from isthmus.kit.authorities import trusting
from isthmus.local.backends import BackendFailed, EmbeddedNats, EmbeddedOpenBao, EmbeddedPostgres, start_all
from isthmus.local.backends.vault_tls import VaultCertificate
from isthmus.local.logs import rotate
from isthmus.local.private import read_json
from isthmus.testing.waiting import PATIENCE_SECONDS, until


@pytest.fixture(scope="module")
def home():
    folder = Path(tempfile.mkdtemp(prefix="isthmus-home-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def backends(home):
    servers = [EmbeddedPostgres(home), EmbeddedNats(home), EmbeddedOpenBao(home)]
    threads = threading.active_count()
    start_all(servers)
    assert threading.active_count() == threads
    yield servers
    for server in servers:
        server.stop()
        assert not server.alive


def test_postgres_keeps_data_and_port_over_a_crash(backends):
    """
    What was committed before a SIGKILL is there after the restart, under the same address.
    """
    postgres = backends[0]
    url = postgres.admin_url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    postgres.start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_postgres_wants_a_password_and_is_durable(backends):
    """
    A connection without password is refused, and fsync is on.
    """
    postgres = backends[0]
    with psycopg.connect(postgres.admin_url) as connection:
        fsync = connection.execute("SHOW fsync").fetchone()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://isthmus_admin@127.0.0.1:{postgres.ports['postgres']}/postgres")

    assert fsync == ("on",)


def test_postgres_is_near_over_a_socket_that_others_cannot_enter(backends):
    """
    Processes of this machine reach it without TCP, with a password, through a folder of its own.
    """
    with psycopg.connect(backends[0].near_url("postgres")) as connection:
        place = connection.execute("SELECT inet_server_addr()").fetchone()
        folder = connection.execute("SHOW unix_socket_directories").fetchone()[0].strip('"')

    assert place == (None,)
    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700


def test_postgres_in_a_home_with_a_long_path_is_near_over_tcp(home):
    """
    Where no socket fits, the near address is the other one.
    """
    home.chmod(0o711)  # or its data would lie elsewhere, below a short path
    server = EmbeddedPostgres(home / ("long" * 25), fast=True)
    server.start()
    with psycopg.connect(server.near_url("postgres")) as connection:
        place = connection.execute("SELECT host(inet_server_addr())").fetchone()
    server.stop()

    assert place == ("127.0.0.1",)


async def test_nats_keeps_streams_over_a_crash(backends):
    """
    An acknowledged message is still in its stream after a SIGKILL.
    """
    server = backends[1]
    client = await nats.connect(server.url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish("kept.one", b"1")
    await client.close()
    server.kill()
    server.start()

    client = await nats.connect(server.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.close()


async def test_nats_refuses_strangers(backends):
    """
    Without user and password nobody gets in.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", backends[1].ports["nats"])
    writer.write(b"CONNECT {}\r\nPING\r\n")
    heard = await reader.read()
    writer.close()

    assert b"Authorization Violation" in heard
    assert b"PONG" not in heard


def _trust(server):
    return trusting(server.authority)


def _vault_is_initialized(server):
    with urllib.request.urlopen(f"{server.address}/v1/sys/init", context=_trust(server)) as answer:
        return json.load(answer)["initialized"]


def _is_initialized_by_somebody(server):
    """The start that was left in the middle may or may not have sent its request; nobody keeps the keys."""
    shares = json.dumps({"recovery_shares": 1, "recovery_threshold": 1}).encode()
    request = urllib.request.Request(f"{server.address}/v1/sys/init", method="PUT", data=shares)
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, context=_trust(server)):
        pass
    return _vault_is_initialized(server)


def _vault(server, method, path, body=None):
    request = urllib.request.Request(f"{server.address}/v1/{path}", method=method)
    request.add_header("X-Vault-Token", read_json(server.folder / "root.json")["root_token"])
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data=data, timeout=5, context=_trust(server)) as answer:
        return json.loads(answer.read() or b"{}")


def test_openbao_unseals_itself_after_a_crash(backends):
    """
    A secret written before a SIGKILL is readable after the restart without anybody's help, also in a home
    that is older than certificates of the vault.
    """
    server = backends[2]
    _vault(server, "POST", "secret/data/kept", {"data": {"one": "1"}})
    server.kill()
    shutil.rmtree(server.authority.parent)
    server.start()

    assert _vault(server, "GET", "secret/data/kept")["data"]["data"] == {"one": "1"}


def test_openbao_begins_anew_after_a_first_start_that_was_cut_short(tmp_path):
    """
    Whoever is killed before the keys are written down does not leave a vault that never opens.
    """
    first = EmbeddedOpenBao(tmp_path)
    for _ in first.starting():
        if (first.folder / "unfinished").exists():
            break
    until(lambda: _is_initialized_by_somebody(first), "somebody to initialize it", pause=0.01)
    first.kill()

    second = EmbeddedOpenBao(tmp_path)
    second.start()

    try:
        assert _vault(second, "POST", "secret/data/kept", {"data": {}})
    finally:
        second.stop()


def test_openbao_lets_in_with_the_newest_secret_id_only(backends):
    """
    A start hands out a new secret id and ends the one before; the role keeps its id.
    """
    server = backends[2]
    files = server.role_files("identity")
    before = {name: getattr(files, name).read_text() for name in ("role_id", "secret_id")}
    server.stop()
    server.start()
    after = {name: getattr(files, name).read_text() for name in ("role_id", "secret_id")}

    assert before["role_id"] == after["role_id"]
    assert _vault(server, "POST", "auth/approle/login", after)["auth"]["token_policies"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        _vault(server, "POST", "auth/approle/login", before)


def _connected(server):
    """Opens a connection to the server that is believed."""
    trust = _trust(server)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", server.ports["openbao"], timeout=PATIENCE_SECONDS, context=trust
    )
    connection.connect()
    return connection


def _shown(server):
    """Gives the number of the certificate that the server shows now."""
    connection = _connected(server)
    found = connection.sock.getpeercert()["serialNumber"]
    connection.close()
    return found


def _health(connection):
    connection.request("GET", "/v1/sys/health")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_openbao_speaks_tls_13_and_nothing_older(backends):
    """
    Plain text is answered with a refusal, and TLS 1.2 with none at all.
    """
    server = backends[2]
    plain = http.client.HTTPConnection("127.0.0.1", server.ports["openbao"], timeout=PATIENCE_SECONDS)
    old = ssl.create_default_context(cafile=server.authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    secured = http.client.HTTPSConnection(
        "127.0.0.1", server.ports["openbao"], timeout=PATIENCE_SECONDS, context=old
    )

    assert _health(plain) == 400
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol version"):
        secured.connect()


def test_nobody_else_may_read_the_certificate_of_openbao(backends):
    """
    Neither the key of the authority nor that of the server.
    """
    server = backends[2]
    files = list(server.authority.parent.iterdir())

    assert {path.name for path in files} == {"authority.key", "authority.pem", "server.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_new_certificate_of_openbao_ends_no_connection(backends):
    """
    Who is connected goes on, who connects later sees the new one, and one that is not due stays.
    """
    server = backends[2]
    before, open_one = _shown(server), _connected(server)
    server.renew_certificate()
    unchanged = _shown(server)

    server._certificate._due = 0.0
    server.renew_certificate()
    until(lambda: _shown(server) != before, "the new certificate", pause=0.05)

    assert unchanged == before
    assert _health(open_one) == 200
    open_one.close()


def test_whoever_answers_in_place_of_openbao_is_found_out(backends, tmp_path):
    """
    The start ends at once, and says so.
    """
    server = backends[2]
    other = EmbeddedOpenBao(tmp_path)
    VaultCertificate(other.authority, 60).prepare()
    other.process = server.process

    with pytest.raises(BackendFailed, match="not ours"):
        list(other.answering("/v1/sys/health", server.ports["openbao"], trusting(other.authority)))


def test_openbao_writes_an_audit_log_without_secrets(backends):
    """
    Every request is in the audit log, the value of the secret is not.
    """
    server = backends[2]
    _vault(server, "POST", "secret/data/hidden", {"data": {"word": "plain-as-day"}})
    log = server.audit_log.read_text()

    assert "secret/data/hidden" in log
    assert "plain-as-day" not in log


def test_openbao_goes_on_in_a_new_audit_log(backends):
    """
    After a rotation everything is in one of the two files.
    """
    server = backends[2]
    rotate(server.audit_log, 0)
    server.reopen_audit_log()
    until(server.audit_log.exists, "the audit log")
    _vault(server, "POST", "secret/data/later", {"data": {}})

    assert "secret/data/later" in server.audit_log.read_text()


def test_secrets_are_private(backends, home):
    """
    No file with a password, key or token can be read by others.
    """
    names = ["postgres/admin.password", "nats/nats.conf", "openbao/seal.key", "openbao/root.json"]
    modes = {stat.S_IMODE((home / name).stat().st_mode) for name in names}

    assert modes == {0o600}


def test_command_lines_carry_no_secrets(backends, home):
    """
    What everybody can see in the process list tells no password.
    """
    secret = (home / "postgres/admin.password").read_text()
    lines = [Path(f"/proc/{server.pid}/cmdline").read_text() for server in backends]

    assert not any(secret in line for line in lines)


def test_a_server_that_cannot_start_says_why(tmp_path):
    """
    Unusable data end in one sentence that names the server, the remedy and the log.
    """
    server = EmbeddedOpenBao(tmp_path)
    (server.folder / "seal.key").write_text("too short")

    with pytest.raises(BackendFailed, match="openbao ended while starting"):
        server.start()
