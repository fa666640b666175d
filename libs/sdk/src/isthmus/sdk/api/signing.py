"""Requests that are signed one by one, and connections that show a certificate."""

import base64
import hashlib
import hmac
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx
from isthmus.sdk.failures import ConfigurationFailure

Sign = Callable[[httpx.Request], Mapping[str, str]]
"""Gives the headers that a request needs besides its own; asked anew for every attempt."""

_SIGNED = "x-ms-date;host;x-ms-content-sha256"


def shared_key_signer(key_id: str, secret: str) -> Sign:
    """Signs as Azure App Configuration and its kin ask for: HMAC-SHA256 over date, host and body.

    Args:
        key_id: The id of the key.
        secret: The key in base64.

    Raises:
        ConfigurationFailure: `CREDENTIAL_UNUSABLE`.
    """
    try:
        key = base64.b64decode(secret, validate=True)
    except ValueError:
        message = "The signing key is not in base64; enter it as the system shows it."
        raise ConfigurationFailure("CREDENTIAL_UNUSABLE", message) from None

    def sign(request: httpx.Request) -> Mapping[str, str]:
        date = request.headers.get("x-ms-date") or formatdate(usegmt=True)
        digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
        target = request.url.raw_path.decode("ascii")
        text = f"{request.method}\n{target}\n{date};{request.headers['host']};{digest}"
        signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        return {
            "x-ms-date": date,
            "x-ms-content-sha256": digest,
            "authorization": f"HMAC-SHA256 Credential={key_id}&SignedHeaders={_SIGNED}&Signature={signature}",
        }

    return sign


def aws_signer(key_id: str, secret: str, *, region: str, service: str, session_token: str = "") -> Sign:
    """Signs with AWS Signature Version 4, by AWS's own library.

    Args:
        key_id: The access key's id.
        secret: The secret access key.
        region: For example `eu-central-1`.
        service: The name that signatures carry, for example `securityhub`.
        session_token: Goes along with keys that are lent for a while.

    Raises:
        ConfigurationFailure: `LIBRARY_MISSING`.
    """
    try:
        # Loaded here, because hosts of other systems have no use for so large a library.
        from botocore.auth import S3SigV4Auth, SigV4Auth  # type: ignore[import-untyped]
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
        from botocore.credentials import Credentials  # type: ignore[import-untyped]
    except ImportError as error:
        message = "Signing requests to AWS needs botocore: install isthmus-sdk[aws]."
        raise ConfigurationFailure("LIBRARY_MISSING", message) from error
    given = Credentials(key_id, secret, session_token or None)
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(given, service, region)

    def sign(request: httpx.Request) -> Mapping[str, str]:
        kept = {name: request.headers[name] for name in ("content-type", "host") if name in request.headers}
        asked = AWSRequest(request.method, str(request.url), headers=kept, data=request.content)
        signer.add_auth(asked)
        return {name.lower(): value for name, value in asked.headers.items() if name.lower() not in kept}

    return sign


def client_context(certificate: str, private_key: str, *, verify: bool) -> ssl.SSLContext:
    """Makes connections show a certificate, RFC 8705; the key touches no disk where memory can be a file.

    Args:
        certificate: In PEM, with the authorities between it and the root.
        private_key: In PEM, without a pass phrase.
        verify: Whether the other side's certificate is checked.

    Raises:
        ConfigurationFailure: `CREDENTIAL_UNUSABLE`.
    """
    context = httpx.create_ssl_context(verify=verify)
    try:
        with _as_file(f"{private_key.strip()}\n{certificate.strip()}\n") as path:
            context.load_cert_chain(path, password=_no_phrase)
    except (ssl.SSLError, ValueError):
        message = "Certificate and private key do not fit, or are not in PEM; enter both again."
        raise ConfigurationFailure("CREDENTIAL_UNUSABLE", message) from None
    return context


def _no_phrase() -> str:
    """Keep OpenSSL from asking at a terminal that nobody looks at."""
    raise ValueError("the key has a pass phrase")


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{descriptor}"
    else:  # only Linux knows files in memory
        descriptor, path = tempfile.mkstemp()
    try:
        os.write(descriptor, text.encode())
        yield path
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            Path(path).unlink()


__all__ = ["Sign", "aws_signer", "client_context", "shared_key_signer"]
