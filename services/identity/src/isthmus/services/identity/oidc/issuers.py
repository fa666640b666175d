"""What providers publish about themselves: addresses and keys, remembered for a while."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from isthmus.resilience.egress import EVERYTHING, Policy
from isthmus.resilience.faults import Fault, RetryLater
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
    """Asks providers, with a limit of time and size; follows no redirect and goes where the operator allows.

    Args:
        policy: What the operator opens of the network.
    """

    def __init__(self, policy: Policy = EVERYTHING) -> None:
        self._policy = policy
        self._known: dict[str, Issuer] = {}
        self._client: httpx.AsyncClient | None = None

    def may_ask(self, issuer: str) -> bool:
        """Tell whether a provider may be asked at all, as far as its address tells."""
        try:
            parts = urlsplit(issuer)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return False
        return self._policy.permits("", parts.hostname or "", port, scheme=parts.scheme)

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

    async def exchange(
        self, issuer: str, form: dict[str, str], secret: str, *, endpoint: str = "token_endpoint"
    ) -> dict[str, Any]:
        """Trade something in; a refusal has `error` and nothing of what was wanted.

        Args:
            issuer: The provider.
            form: What to send.
            secret: That of our client; empty for a public one.
            endpoint: Where, as the provider's discovery document names it.

        Raises:
            RetryLater: `PROVIDER_UNREACHABLE`.
        """
        import httpx

        address = (await self.metadata(issuer)).get(endpoint)
        if _is_odd(address):
            return {"error": "unsupported"}
        auth = httpx.BasicAuth(form["client_id"], secret) if secret else None
        status, body = await self._ask("POST", str(address), data=form, auth=auth)
        if status >= 500 or status == 429:
            raise _unreachable(issuer)
        answer = _object(body) or {}
        return answer if status == 200 else {"error": str(answer.get("error", "refused"))[:100]}

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
        status, body = await self._ask("GET", address)
        found = _object(body) if status == 200 else None
        if found is None:
            raise _unreachable(address)
        return found

    async def _ask(self, method: str, address: str, **more: Any) -> tuple[int, bytes]:
        import httpx

        try:
            async with asyncio.timeout(_SECONDS), self._http().stream(method, address, **more) as reply:
                body = b""
                # Nothing is unpacked: a packed kilobyte can be a gigabyte before its size is known.
                async for part in reply.aiter_raw():
                    body += part
                    if len(body) > _LARGEST:
                        raise _unreachable(address)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise _unreachable(address) from error
        except Fault as fault:
            # What the operator has not opened looks to strangers like what does not answer.
            raise _unreachable(address) from fault
        return reply.status_code, body

    def _http(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx
            from isthmus.sdk.egress import AllowedHosts
            from isthmus.sdk.network import judged_transport

            limits = httpx.Limits(max_connections=20, max_keepalive_connections=4, keepalive_expiry=15)
            transport = judged_transport(AllowedHosts(["*"], self._policy), limits=limits)
            self._client = httpx.AsyncClient(
                transport=transport,
                timeout=_SECONDS,
                follow_redirects=False,
                trust_env=False,
                headers={"Accept-Encoding": "identity"},
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
