"""Requests that are signed one by one, and connections that show a certificate."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from isthmus.sdk.api import Api
from isthmus.sdk.api.signing import aws_signer, shared_key_signer
from isthmus.sdk.context import Context
from isthmus.sdk.failures import ConfigurationFailure, TransientFailure
from isthmus.sdk.limits import Limits, RetryLimits
from isthmus.sdk.runtime import Credential
from isthmus.testing.http_server import HttpServer

KEY = base64.b64encode(b"another-not-real-secret").decode()


def client(url, credential, **options):
    context = Context(credential=credential, limits=Limits(retry=RetryLimits(attempts=1)))
    with context.active():
        return Api(url, **options)


def test_the_shared_key_of_azure_signs_as_documented():
    """
    The string to sign is method, target, date, host and digest of the body; computed apart from this code.
    """
    request = httpx.Request(
        "GET",
        "https://mystore.azconfig.io/kv?fields=*&api-version=1.0",
        headers={"x-ms-date": "Fri, 11 May 2018 18:48:36 GMT"},
    )

    headers = shared_key_signer("abc", "YW5vdGhlci1ub3QtcmVhbC1zZWNyZXQ=")(request)

    assert headers["x-ms-content-sha256"] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert headers["authorization"] == (
        "HMAC-SHA256 Credential=abc&SignedHeaders=x-ms-date;host;x-ms-content-sha256"
        "&Signature=YZ2Zg7WQKEiZMz2CeIrTWGB1yh2RpYbdTRcrGaKrMlI="
    )


def test_aws_gets_the_signature_of_its_own_test_suite(monkeypatch):
    """
    The case `get-vanilla` that AWS publishes.
    """
    moment = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    sign = aws_signer(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
        service="service",
    )

    headers = sign(httpx.Request("GET", "https://example.amazonaws.com/"))

    assert headers["x-amz-date"] == "20150830T123600Z"
    assert headers["authorization"].endswith(
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_request_is_signed_as_it_is_sent(method):
    """
    The server computes the signature from what has arrived.
    """
    async with HttpServer() as server:
        server.on("/kv", {"ok": True}, method)
        api = client(server.url, Credential("hmac", KEY, key_id="abc"))
        content = b'{"a": 1}' if method == "POST" else None
        await api.request(method, "/kv", params={"label": "prod"}, content=content)
        await api.close()

    [request] = server.requests
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    text = f"{method}\n/kv?label=prod\n{request.headers['x-ms-date']};{request.headers['host']};{digest}"
    wanted = hmac.new(b"another-not-real-secret", text.encode(), hashlib.sha256).digest()
    assert request.headers["authorization"].endswith(f"Signature={base64.b64encode(wanted).decode()}")


async def test_a_request_to_aws_carries_its_signature():
    """
    For region and service of the credential, in the request path of the SDK.
    """
    given = Credential("aws_sigv4", "wJalr", key_id="AKID", region="eu-central-1", service="config")
    async with HttpServer() as server:
        server.on("/", {"ok": True}, "POST")
        api = client(server.url, given)
        await api.post("/", content=b"{}", idempotent=True)
        await api.close()

    told = server.requests[0].headers
    assert "/eu-central-1/config/aws4_request" in told["authorization"]
    assert "wJalr" not in str(told)


def test_a_key_that_is_no_base64_is_refused_without_repeating_it():
    """
    The message says what to enter.
    """
    with pytest.raises(ConfigurationFailure) as refused:
        shared_key_signer("abc", "not base64 canary")

    assert "canary" not in str(refused.value)


def identity(name):
    """A certificate that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            title, title, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem).decode(), key.private_bytes(pem, *form).decode()


@pytest.fixture(scope="module")
def client_identity():
    return identity("client")


@pytest.fixture
async def strict_server(tmp_path, client_identity):
    """Answers only those who show the client's certificate; gives its address."""
    certificate, key = identity("server")
    (tmp_path / "server.pem").write_text(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=client_identity[0])
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_connection_shows_the_certificate_of_its_credential(strict_server, client_identity):
    """
    A system that asks for a certificate answers; reading and writing take the same way.
    """
    certificate, key = client_identity
    api = client(
        strict_server, Credential("mutual_tls", certificate=certificate, private_key=key), verify=False
    )

    assert (await api.get("/")).body == {}
    assert (await api.put("/", json={})).body == {}
    await api.close()


async def test_without_the_certificate_nobody_answers(strict_server):
    """
    The system breaks the connection.
    """
    api = client(strict_server, Credential(), verify=False)

    with pytest.raises(TransientFailure):
        await api.get("/")
    await api.close()


async def test_a_key_of_another_certificate_is_refused_without_repeating_it(client_identity):
    """
    Before anything is sent.
    """
    other = identity("other")[1]
    given = Credential("mutual_tls", certificate=client_identity[0], private_key=other)
    api = client("https://127.0.0.1:9", given)

    with pytest.raises(ConfigurationFailure) as refused:
        await api.get("/")

    assert refused.value.reason == "CREDENTIAL_UNUSABLE"
    assert other.splitlines()[1] not in str(refused.value)
