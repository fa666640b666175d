"""What a database has to prove before anything is told to it."""

import asyncio
import ssl
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from isthmus.connectors.postgres.securing import security
from isthmus.connectors.postgres.settings import Settings
from isthmus.sdk import Failure

_WORDS = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"
REFUSAL = b"E" + (len(_WORDS) + 4).to_bytes(4) + _WORDS
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])


def vouching(folder, name="localhost"):
    """Makes a certificate that vouches for itself, and gives the file with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(encoding) + secret)
    return folder / f"{name}.pem"


@asynccontextmanager
async def database(certificate):
    """Gives a port where TLS is spoken, and what came in there, each time the user's name."""
    context, came = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate)

    async def talk(reader, writer):
        with closing(writer):
            if await reader.readexactly(8) != SSL_REQUEST:
                return
            writer.write(b"S")
            try:
                await writer.start_tls(context)
                came.append(await reader.read(1000))
                writer.write(REFUSAL)
                await writer.drain()
            except OSError:
                return

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with closing(server):
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize(
    ("name", "vouches", "reason"),
    [
        ("localhost", True, "AUTHENTICATION_FAILED"),
        ("localhost", False, "SERVER_UNPROVEN"),
        ("elsewhere", True, "SERVER_UNPROVEN"),
    ],
    ids=["proven", "nobody vouches", "another name"],
)
async def test_nothing_is_told_to_a_server_that_does_not_prove_its_name(
    opened, tmp_path, name, vouches, reason
):
    """
    The authorities of the instance count, and no others.
    """
    certificate = vouching(tmp_path, name)
    shown = {"authorities": certificate.read_text().partition("-----BEGIN PRIVATE")[0]} if vouches else {}
    async with database(certificate) as (port, came):
        asked = {"host": "localhost", "port": port, "sslmode": "verify-full", **shown}
        with pytest.raises(Failure) as failed:
            async with opened(asked) as session:
                await session.streams()

    assert failed.value.reason == reason
    assert any(b"user" in one for one in came) == (reason == "AUTHENTICATION_FAILED")


@pytest.mark.parametrize(
    ("addresses", "sslmode", "told"),
    [
        (["127.0.0.1", "::1"], "", {"sslmode": "prefer"}),
        (["127.0.0.1", "192.0.2.1"], "require", {"sslmode": "require", "require_auth": "!password"}),
    ],
    ids=["here", "elsewhere with less"],
)
def test_how_much_is_asked_for_depends_on_where_the_server_is(addresses, sslmode, told):
    """
    What is asked for less shows no password in plain text.
    """
    assert security(Settings(host="db", database="x", sslmode=sslmode), addresses) == told


def test_elsewhere_a_certificate_is_asked_for():
    """
    Of somebody whom everybody knows, where the instance says nothing.
    """
    told = security(Settings(host="db", database="x"), ["192.0.2.1"])

    assert told["sslmode"] == "verify-full"
    assert told["sslrootcert"].endswith(".pem")
