"""What providers publish about themselves: addresses and keys, remembered for a while."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from isthmus.resilience.faults import RetryLater
from isthmus.services.identity.domain import ALGORITHMS, issuer_trouble
from isthmus.services.identity.signing import header_of

if TYPE_CHECKING:
    import httpx

_SECONDS = 5.0
_LARGEST = 1_000_000
_METADATA_AGE = 3600.0
_KEYS_AGE = 600.0
_KEYS_AGAIN = 10.0
_REMEMBERED = 256


@dataclass(slots=True)
class Issuer:
    """One provider as it describes itself."""

    metadata: dict[str, Any]
    metadata_at: float
    keys: list[Any] = field(default_factory=list)
    keys_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Issuers:
    """Asks providers, with a limit of time and size, and follows no redirect."""

    def __init__(self) -> None:
        self._known: dict[str, Issuer] = {}
        self._client: httpx.AsyncClient | None = None

    async def metadata(self, issuer: str) -> dict[str, Any]:
        """Return the discovery document.

        Raises:
            RetryLater: `PROVIDER_UNREACHABLE`, it cannot be had or is not this issuer's.
        """
        return (await self._issuer(issuer)).metadata

    async def claims(self, issuer: str, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that the issuer has signed; None when it has not.

        A key that is not known yet is asked for, at most every ten seconds: providers rotate.

        Raises:
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        found = await self._issuer(issuer)
        kid = header_of(token).get("kid")
        now = time.monotonic()
        if now - found.keys_at > _KEYS_AGE or not _fitting(found.keys, kid):
            async with found.lock:
                if now - found.keys_at > _KEYS_AGAIN:
                    found.keys = await self._keys(found.metadata["jwks_uri"])
                    found.keys_at = time.monotonic()
        return _verified(token, _fitting(found.keys, kid))

    async def exchange(self, issuer: str, form: dict[str, str], secret: str) -> dict[str, Any] | None:
        """Trade something in at the token endpoint; None when the provider refuses.

        Raises:
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        import httpx

        metadata = await self.metadata(issuer)
        auth = httpx.BasicAuth(form["client_id"], secret) if secret else httpx.USE_CLIENT_DEFAULT
        try:
            reply = await self._http().post(metadata["token_endpoint"], data=form, auth=auth)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(issuer) from error
        if reply.status_code >= 500 or reply.status_code == 429:
            raise _unreachable(issuer)
        return _object(reply.content) if reply.status_code == 200 else None

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _issuer(self, issuer: str) -> Issuer:
        known = self._known.get(issuer)
        if known is not None and time.monotonic() - known.metadata_at < _METADATA_AGE:
            return known
        metadata = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        addresses = [metadata.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if metadata.get("issuer") != issuer or any(_is_odd(address) for address in addresses):
            raise _unreachable(issuer)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[issuer] = Issuer(metadata, time.monotonic())
        return self._known[issuer]

    async def _keys(self, address: str) -> list[Any]:
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key

        keys = []
        listed = (await self._get(address)).get("keys")
        for jwk in listed if isinstance(listed, list) else []:
            if isinstance(jwk, dict) and jwk.get("use", "sig") == "sig" and jwk.get("kty") != "oct":
                try:
                    keys.append(import_key(jwk))
                except (JoseError, ValueError, TypeError, KeyError):
                    continue  # a key of a kind that nobody here knows
        return keys

    async def _get(self, address: str) -> dict[str, Any]:
        import httpx

        try:
            async with self._http().stream("GET", address) as reply:
                body = b""
                async for part in reply.aiter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise _unreachable(address)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(address) from error
        found = _object(body) if reply.status_code == 200 else None
        if found is None:
            raise _unreachable(address)
        return found

    def _http(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            limits = httpx.Limits(max_connections=20, max_keepalive_connections=4, keepalive_expiry=15)
            self._client = httpx.AsyncClient(
                timeout=_SECONDS, follow_redirects=False, trust_env=False, limits=limits
            )
        return self._client


def _fitting(keys: list[Any], kid: object) -> list[Any]:
    return [key for key in keys if kid is None or key.kid is None or key.kid == kid]


def _verified(token: str, keys: list[Any]) -> dict[str, Any] | None:
    from joserfc import jwt
    from joserfc.errors import JoseError

    for key in keys:
        try:
            return dict(jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError):
            continue
    return None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_odd(address: object) -> bool:
    """Tell whether this is no address that a provider may lead to; queries are allowed, plain http is not."""
    return not isinstance(address, str) or bool(issuer_trouble(urlsplit(address)._replace(query="").geturl()))


def _unreachable(address: str) -> RetryLater:
    message = f"The provider at {urlsplit(address).hostname} does not answer as it should; try again."
    return RetryLater("PROVIDER_UNREACHABLE", message, retry_after=2.0)


__all__ = ["Issuers"]
