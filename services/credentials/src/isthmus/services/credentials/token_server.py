"""Speaks to token servers, RFC 6749; whatever they answer ends as a grant or as a fault with a remedy."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from isthmus.kit import new_id
from isthmus.resilience.egress import EVERYTHING, Policy
from isthmus.resilience.faults import Precondition
from isthmus.services.credentials.domain import (
    BASIC,
    POST,
    PRIVATE_KEY_JWT,
    Grant,
    OAuth,
    is_safe_url,
    lifetime_of,
)
from isthmus.services.credentials.token_answers import refusal_of, shown, unreachable

if TYPE_CHECKING:
    import httpx

_MOST_BYTES = 256 * 1024
_ASSERTION_SECONDS = 120
_SKEW_SECONDS = 30
"""By how much our clock may be ahead of a token server's that takes nothing from the future."""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenServers:
    """Asks token servers; every question has a deadline, and no redirect is followed.

    Args:
        seconds: Longest wait for an answer, connecting included.
        unknown_lifetime: Seconds a token is taken to live when the server does not say.
        policy: What the operator opens of the network.
    """

    def __init__(self, *, seconds: float, unknown_lifetime: float, policy: Policy = EVERYTHING) -> None:
        self._seconds = seconds
        self._policy = policy
        self._unknown_lifetime = unknown_lifetime
        self._client: httpx.AsyncClient | None = None

    async def grant(self, oauth: OAuth, secret: Mapping[str, str], form: Mapping[str, str]) -> Grant:
        """Ask for a token.

        Args:
            oauth: The client.
            secret: Its secret parts.
            form: The grant; the client's authentication is added.

        Raises:
            Precondition: `TOKEN_CLIENT_REFUSED`, `TOKEN_SCOPE_REFUSED`, `TOKEN_GRANT_REFUSED`,
                `TOKEN_REQUEST_REFUSED`, `TOKEN_ANSWER_INVALID`.
            RetryLater: `TOKEN_SERVER_BUSY`, `TOKEN_SERVER_UNREACHABLE`.
        """
        sent = {name: value for name, value in form.items() if value}
        status, headers, answer = await self.post(oauth.token_url, oauth, secret, sent)
        if status == 200 and isinstance(answer.get("access_token"), str) and answer["access_token"]:
            return self._granted(oauth, answer)
        raise refusal_of(oauth.token_url, status, headers, answer)

    async def ask(
        self, url: str, oauth: OAuth, secret: Mapping[str, str], form: Mapping[str, str], *, needed: str
    ) -> dict[str, Any]:
        """Ask another endpoint of the same server; gives an answer that has the text `needed`.

        Raises:
            Fault: As `grant`.
        """
        status, headers, answer = await self.post(url, oauth, secret, form)
        if status == 200 and isinstance(answer.get(needed), str) and answer[needed]:
            return answer
        raise refusal_of(url, status, headers, answer)

    async def post(
        self, url: str, oauth: OAuth, secret: Mapping[str, str], form: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        """Send a form in the client's name; gives the status, the headers and the JSON of the answer.

        Raises:
            Precondition: `TOKEN_URL_INVALID`.
            RetryLater: `TOKEN_SERVER_UNREACHABLE`.
        """
        fields, headers = authenticated(oauth, secret)
        return await self._sent("POST", url, headers, data={**form, **fields})

    async def call(
        self, method: str, url: str, token: str, document: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        """Send a JSON document with an access token; gives status, headers and JSON of the answer.

        Raises:
            Precondition: `TOKEN_URL_INVALID`.
            RetryLater: `TOKEN_SERVER_UNREACHABLE`.
        """
        return await self._sent(method, url, {"Authorization": f"Bearer {token}"}, json=document)

    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], **body: Any
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        import httpx

        if not is_safe_url(url):
            message = f"{shown(url)} is no address that a secret may be sent to; use https."
            raise Precondition("TOKEN_URL_INVALID", message)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(method, url, headers, **body)
        except TimeoutError:
            raise unreachable(url, f"has not answered within {self._seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # What the client says may repeat the request: only the kind of the error is told.
            raise unreachable(url, f"cannot be reached ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], **body: Any
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        async with self._open().stream(method, url, headers=dict(headers), **body) as response:
            answered = bytearray()
            # Nothing is unpacked: a packed kilobyte can be a gigabyte before its size is known.
            async for part in response.aiter_raw():
                answered += part
                if len(answered) > _MOST_BYTES:
                    return response.status_code, response.headers, {}
        try:
            answer = json.loads(bytes(answered))
        except (ValueError, RecursionError):
            answer = {}
        return response.status_code, response.headers, answer if isinstance(answer, dict) else {}

    def _open(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx
            from isthmus.sdk.egress import AllowedHosts
            from isthmus.sdk.network import judged_transport

            self._client = httpx.AsyncClient(
                transport=judged_transport(AllowedHosts(["*"], self._policy)),
                timeout=self._seconds,
                follow_redirects=False,
                trust_env=False,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": "isthmus/0.1",
                },
            )
        return self._client

    def _granted(self, oauth: OAuth, answer: Mapping[str, Any]) -> Grant:
        told, refresh = answer.get("scope"), answer.get("refresh_token")
        if str(answer.get("token_type", "bearer")).lower() != "bearer":
            message = (
                f"{shown(oauth.token_url)} gives tokens that are no bearer tokens, which is not supported."
            )
            raise Precondition("TOKEN_ANSWER_INVALID", message)
        return Grant(
            access_token=str(answer["access_token"]),
            lifetime=lifetime_of(answer.get("expires_in"), self._unknown_lifetime),
            refresh_token=refresh if isinstance(refresh, str) else "",
            scopes=tuple(told.split()) if isinstance(told, str) and told.strip() else None,
        )


def authenticated(oauth: OAuth, secret: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Gives the fields and headers by which a client proves who it is."""
    if oauth.client_authentication == BASIC:
        import base64

        # RFC 6749 section 2.3.1: both are encoded as in a form before they are joined.
        pair = f"{quote_plus(oauth.client_id)}:{quote_plus(secret.get('client_secret', ''))}"
        return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    fields = {"client_id": oauth.client_id} if oauth.client_id else {}
    if oauth.client_authentication == POST:
        fields["client_secret"] = secret.get("client_secret", "")
    elif oauth.client_authentication == PRIVATE_KEY_JWT:
        fields["client_assertion_type"] = _ASSERTION_TYPE
        fields["client_assertion"] = assertion(oauth, secret, {"sub": oauth.client_id})
    return fields, {}


def assertion(oauth: OAuth, secret: Mapping[str, str], claims: Mapping[str, Any]) -> str:
    """Signs who the client is, RFC 7523; good for two minutes and one use.

    Raises:
        Precondition: `SIGNING_KEY_UNUSABLE`.
    """
    from joserfc import jwt
    from joserfc.jwk import import_key

    algorithm = oauth.signing_algorithm or "RS256"
    now = int(time.time())
    header = {"alg": algorithm, "typ": "JWT"}
    body = {
        "iss": oauth.client_id, "aud": oauth.token_url, "jti": new_id("jwt"),
        "iat": now - _SKEW_SECONDS, "exp": now + _ASSERTION_SECONDS, **claims,
    }  # fmt: skip
    try:
        if oauth.key_id:
            header["kid"] = oauth.key_id
        if secret.get("certificate"):
            header |= _thumbprints(secret["certificate"])
        key = import_key(secret.get("private_key", ""), "EC" if algorithm.startswith("ES") else "RSA")
        return jwt.encode(header, body, key, algorithms=[algorithm])
    except Exception:
        # The library's errors may show parts of the key.
        message = f"The private key cannot sign with {algorithm}; enter a key in PEM that fits."
        raise Precondition("SIGNING_KEY_UNUSABLE", message) from None


def _thumbprints(certificate: str) -> dict[str, str]:
    """How Entra finds the certificate that belongs to a key, RFC 7515 sections 4.1.7 and 4.1.8."""
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    found = x509.load_pem_x509_certificate(certificate.encode())
    prints = {"x5t": hashes.SHA1(), "x5t#S256": hashes.SHA256()}  # noqa: S303 -- a name, not a proof
    return {
        name: base64.urlsafe_b64encode(found.fingerprint(kind)).rstrip(b"=").decode()
        for name, kind in prints.items()
    }


__all__ = ["TokenServers", "assertion", "authenticated"]
