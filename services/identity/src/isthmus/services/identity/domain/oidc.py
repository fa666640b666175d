"""OpenID Connect providers of tenants, and what follows from the claims they make."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from isthmus.services.identity.domain.people import is_user_name, user_name

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519", "EdDSA")
_SKEW = 30.0
_ENTRA = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who vouches for people and programs of a tenant.

    Attributes:
        audience: Audience of access tokens that programs may call with; empty accepts none.
        name_claim: Claim with the name of the user here.
        role_claim: Claim with the values that roles are given for; dots lead into objects.
        role_mappings: Which value gives which roles.
        redirect_uris: Where browsers may be sent back to, besides the user's own machine.
    """

    tenant_id: str
    provider_id: str
    name: str
    issuer: str
    client_id: str
    has_client_secret: bool
    scopes: tuple[str, ...]
    audience: str
    name_claim: str
    role_claim: str
    role_mappings: Mapping[str, tuple[str, ...]]
    redirect_uris: tuple[str, ...]
    is_disabled: bool
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1

    def roles_for(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the roles that somebody's claims give."""
        found: Any = claims
        for part in self.role_claim.split(".") if self.role_claim else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        values = found if isinstance(found, list) else [found]
        given = {role for value in values for role in self.role_mappings.get(str(value), ())}
        return tuple(sorted(given))

    def user_name_for(self, claims: Mapping[str, Any]) -> str:
        """Return the name of a user here; empty when the claims have none that can be kept."""
        name = user_name(str(claims.get(self.name_claim or "email", "")))
        return name if is_user_name(name) else ""

    def may_return_to(self, redirect_uri: str) -> bool:
        """Tell whether a browser may be sent back there: exactly as configured, or to the user's machine."""
        return redirect_uri in self.redirect_uris or _is_local(redirect_uri)


def issuer_trouble(issuer: str) -> str:
    """Say what is wrong with an issuer's address; empty when nothing is."""
    try:
        parts = urlsplit(issuer)
        secure = parts.scheme == "https" or _is_local(issuer)
    except ValueError:
        return "Write `issuer` as an https address."
    if not secure or not parts.hostname or parts.query or parts.fragment or parts.username:
        return "Write `issuer` as an https address without query, fragment or user."
    return ""


def claims_trouble(claims: Mapping[str, Any], issuer: str, audience: str, now: float) -> str:
    """Say which of the claims that every token needs does not hold; empty when all do."""
    if claims.get("iss") != issuer:
        return "iss"
    audiences = claims.get("aud")
    listed = audiences if isinstance(audiences, list) else [audiences]
    if audience not in listed:
        return "aud"
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or now >= expires + _SKEW:
        return "exp"
    if not isinstance(begins, int | float) or now < begins - _SKEW:
        return "nbf"
    return "" if isinstance(claims.get("sub"), str) and claims["sub"] else "sub"


def id_token_trouble(claims: Mapping[str, Any], provider: Provider, nonce: str, now: float) -> str:
    """Say which claim of an ID token does not hold; empty when all do.

    Args:
        claims: What it says.
        provider: Who has signed it.
        nonce: What was asked for; empty where the token came without a browser, and needs none.
        now: The present moment, in Unix seconds.
    """
    trouble = claims_trouble(claims, provider.issuer, provider.client_id, now)
    if trouble:
        return trouble
    audiences = claims.get("aud")
    if isinstance(audiences, list) and len(audiences) > 1 and claims.get("azp") != provider.client_id:
        return "azp"
    if claims.get("azp", provider.client_id) != provider.client_id:
        return "azp"
    return "" if not nonce or claims.get("nonce") == nonce else "nonce"


def is_page(address: str) -> bool:
    """Tell whether this is an address that a person may be sent to: https, or on the person's own machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    secure = parts.scheme == "https" and bool(parts.hostname) and not parts.username
    return secure or _is_local(address)


def _is_local(address: str) -> bool:
    """Tell whether this is an http address on the machine of whoever opens it (RFC 8252)."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def directory_ids(issuer: str, claims: Mapping[str, Any]) -> list[str]:
    """Return by which ids a directory may have announced whom claims are about.

    Only ids count that nobody can change for himself. Entra's `sub` is another one for each client; what its
    directory knows is `oid`.
    """
    host = urlsplit(issuer).hostname or ""
    names = ["sub", "oid"] if host in _ENTRA else ["sub"]
    return [str(claims[name])[:200] for name in names if claims.get(name)]


__all__ = [
    "ALGORITHMS",
    "Provider",
    "claims_trouble",
    "directory_ids",
    "id_token_trouble",
    "is_page",
    "issuer_trouble",
]
