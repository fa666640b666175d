"""The keys that sign access tokens: kept in the vault, published as a JWKS, replaced from time to time."""

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from isthmus.kit import Clock
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Missing, Precondition, RetryLater
from isthmus.services.identity.domain import unknown_caller
from isthmus.services.identity.pepper import Exclusive, Secrets

ALGORITHM = "Ed25519"
ISSUER = "isthmus"
OUR_TYPE = "isthmus+at+jwt"
_KID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LOOK_EVERY = timedelta(seconds=60)
_LOOK_AGAIN = timedelta(seconds=1)
_SKEW = timedelta(seconds=30)
_BY_HAND = (
    "Where secrets are given from outside, the new signing key goes to the end of `keys`, behind the present "
    "one: `isthmus secrets signing-key` prints the whole."
)
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair and when it was made."""

    kid: str
    made: datetime
    jwk: dict[str, Any] = field(repr=False)


class SigningKeys:
    """Signs and verifies access tokens.

    A replica looks into the vault once a minute, and when it meets a key that it does not know. The key
    before stays for as long as a token that it has signed can live, and a minute more for replicas that
    have not looked yet. While the vault is gone the keys in memory do.

    Args:
        vault: Where the keys are kept.
        lock: Lets one replica at a time make a key.
        path: Their path in the vault.
        clock: The time.
        token_life: How long a token lives.
        rotate_after: Age at which the signing key is replaced.
    """

    def __init__(
        self,
        vault: Secrets,
        lock: Exclusive,
        path: str,
        clock: Clock,
        *,
        token_life: timedelta,
        rotate_after: timedelta,
    ) -> None:
        self._vault = vault
        self._lock = lock
        self._path = path
        self._clock = clock
        self._life = token_life
        self._rotate_after = rotate_after
        self._keys: list[SigningKey] = []
        self._looked = datetime.min.replace(tzinfo=clock.now().tzinfo)
        self._tried = self._looked
        self._imported: dict[str, Any] = {}
        self._once = asyncio.Lock()

    async def sign(self, claims: dict[str, Any]) -> str:
        """Return a token with these claims, and those that every token has.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, no key is known yet.
        """
        from joserfc import jwt

        now = self._clock.now()
        await self._look(_LOOK_EVERY)
        if not self._keys:
            await self._make(now - self._rotate_after)
        elif self._keys[-1].made <= now - self._rotate_after:
            await self._replace(now)
        key = self._keys[-1]
        begin = int(now.timestamp())
        usual = {"iss": ISSUER, "aud": ISSUER, "iat": begin, "exp": begin + int(self._life.total_seconds())}
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": OUR_TYPE}
        return jwt.encode(header, {**usual, **claims}, self._import(key), algorithms=[ALGORITHM])

    async def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that this installation has signed and that has not expired.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, whatever is wrong with it.
            RetryLater: `VAULT_UNREACHABLE`, no key is known yet.
        """
        from joserfc import jwt
        from joserfc.errors import JoseError

        header = header_of(token)
        key = await self._known(str(header.get("kid", "")))
        if key is None or header.get("typ") != OUR_TYPE:
            raise unknown_caller()
        try:
            claims = jwt.decode(token, self._import(key), algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError) as error:
            raise unknown_caller() from error
        now, expires = self._clock.now().timestamp(), claims.get("exp")
        if claims.get("iss") != ISSUER or claims.get("aud") != ISSUER:
            raise unknown_caller()
        if not isinstance(expires, int | float) or now >= expires:
            raise unknown_caller()
        return claims

    async def jwks(self) -> str:
        """Return the public halves of all keys that tokens in force may be signed with."""
        await self._look(_LOOK_EVERY)
        if not self._keys:
            await self._make(self._looked)
        public = [{name: key.jwk[name] for name in key.jwk if name != "d"} for key in self._keys]
        return json.dumps({"keys": [{**jwk, "use": "sig", "alg": "EdDSA"} for jwk in public]})

    async def rotate(self) -> str:
        """Make another key the signing one and return its name.

        Raises:
            Precondition: `VAULT_READ_ONLY`, somebody else has to add the key.
            RetryLater: `VAULT_UNREACHABLE`.
        """
        try:
            await self._make(self._clock.now())
        except Precondition as fault:
            if fault.reason != "VAULT_READ_ONLY":
                raise
            raise Precondition(fault.reason, f"{fault.message} {_BY_HAND}") from fault
        return self._keys[-1].kid

    async def _replace(self, now: datetime) -> None:
        """Replace a key that is old; while the vault takes none, the old one goes on signing."""
        if now - self._tried < _LOOK_EVERY:
            return
        self._tried = now
        try:
            await self._make(now - self._rotate_after)
        except (Precondition, RetryLater) as fault:
            _log.warning("the signing key is old and was not replaced", why=f"{fault.message} {_BY_HAND}")

    async def _known(self, kid: str) -> SigningKey | None:
        found = next((key for key in self._keys if key.kid == kid), None)
        if found is None and _KID.fullmatch(kid):
            await self._look(_LOOK_AGAIN)
            found = next((key for key in self._keys if key.kid == kid), None)
        return found

    async def _look(self, age: timedelta) -> None:
        """Read the keys unless that was done a moment ago."""
        if self._clock.now() - self._looked < age:
            return
        async with self._once:
            if self._clock.now() - self._looked < age:
                return
            try:
                self._keys = await self._read()
            except RetryLater:
                if not self._keys:
                    raise
            self._looked = self._clock.now()

    async def _make(self, older_than: datetime) -> None:
        """Add a key when the newest is older than that; another replica may have been faster."""
        async with self._lock.exclusive("signing-keys"):
            keys = await self._read()
            now = self._clock.now()
            if not keys or keys[-1].made <= older_than:
                keys = [*_still_needed(keys, now - self._life - _LOOK_EVERY - _SKEW), _new_key(now)]
                await self._vault.write(self._path, {"keys": [_kept(key) for key in keys]})
        self._keys, self._looked = keys, now

    async def _read(self) -> list[SigningKey]:
        try:
            kept = (await self._vault.read(self._path))["keys"]
        except Missing:
            return []
        keys = [(json.loads(entry["jwk"]), datetime.fromisoformat(entry["made"])) for entry in kept]
        return [SigningKey(jwk["kid"], made, jwk) for jwk, made in keys]

    def _import(self, key: SigningKey) -> Any:
        from joserfc.jwk import OKPKey

        if key.kid not in self._imported:
            self._imported = {kid: kept for kid, kept in self._imported.items() if kid in _names(self._keys)}
            self._imported[key.kid] = OKPKey.import_key(dict(key.jwk))
        return self._imported[key.kid]


def with_new_key(document: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Give what the vault has to hold so that another key signs and those of before still verify.

    Args:
        document: What it holds; empty where there is nothing.
        now: When the key is made.
    """
    return {"keys": [*document.get("keys", ()), _kept(_new_key(now))]}


def header_of(token: str) -> dict[str, Any]:
    """Read what a token says about itself, unverified; empty when it says nothing."""
    return _part(token, 0)


def unverified_claims(token: str) -> dict[str, Any]:
    """Read what a token claims, unverified: enough to find out who could verify it."""
    return _part(token, 1)


def _part(token: str, number: int) -> dict[str, Any]:
    import base64

    try:
        text = token.split(".")[number]
        fields = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, IndexError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _still_needed(keys: list[SigningKey], long_ago: datetime) -> list[SigningKey]:
    """Leave out keys whose successor has been signing for longer than a token lives."""
    older = [key for key, successor in pairwise(keys) if successor.made > long_ago]
    return [*older, *keys[-1:]]


def _new_key(now: datetime) -> SigningKey:
    from joserfc.jwk import OKPKey

    kid = secrets.token_hex(32)
    return SigningKey(kid, now, OKPKey.generate_key("Ed25519", {"kid": kid}).as_dict(private=True))


def _kept(key: SigningKey) -> dict[str, str]:
    return {"made": key.made.isoformat(), "jwk": json.dumps(key.jwk)}


def _names(keys: list[SigningKey]) -> set[str]:
    return {key.kid for key in keys}


__all__ = [
    "ALGORITHM",
    "ISSUER",
    "OUR_TYPE",
    "SigningKey",
    "SigningKeys",
    "header_of",
    "unverified_claims",
    "with_new_key",
]
