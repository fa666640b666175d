"""What is needed to get access tokens, and what makes it good."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from isthmus.resilience.faults import Violation

BASIC, POST, PRIVATE_KEY_JWT, NONE = "basic", "post", "private_key_jwt", "none"
ALGORITHMS = ("RS256", "PS256", "ES256")
_ENTRA = "https://login.microsoftonline.com"
_ENTRA_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_MOST_SCOPES = 100
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class OAuth:
    """The parts of an OAuth 2.0 client that are no secret.

    Attributes:
        client_authentication: `basic`, `post`, `private_key_jwt` or `none`.
    """

    token_url: str = ""
    authorization_url: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""
    client_authentication: str = BASIC
    key_id: str = ""
    signing_algorithm: str = ""
    issuer: str = ""
    device_authorization_url: str = ""
    subject: str = ""
    entra_tenant: str = ""

    @property
    def complete(self) -> "OAuth":
        """The client with the addresses that follow from what it says about Entra."""
        if not self.entra_tenant:
            return self
        base = f"{_ENTRA}/{self.entra_tenant}/oauth2/v2.0"
        return replace(
            self,
            token_url=self.token_url or f"{base}/token",
            authorization_url=self.authorization_url or f"{base}/authorize",
            device_authorization_url=self.device_authorization_url or f"{base}/devicecode",
        )


def oauth_mistakes(auth_type: str, oauth: OAuth) -> Iterator[Violation]:
    """Gives everything wrong with the open part of a client."""
    for name in ("token_url", "authorization_url", "device_authorization_url"):
        url = getattr(oauth.complete, name)
        yield from _url_mistakes(f"oauth_config.{name}", url, required=name == "token_url")
    for name in ("client_id", "audience", "key_id", "issuer", "subject"):
        text = getattr(oauth, name)
        if len(text) > 1000 or any(letter < " " or letter == "\x7f" for letter in text):
            message = f"Use at most 1000 characters without control characters for `{name}`."
            yield Violation(f"oauth_config.{name}", "CHARACTER_FORBIDDEN", message)
    if not oauth.client_id:
        yield Violation(
            "oauth_config.client_id", "REQUIRED", "Set `client_id`, as the token server knows it."
        )
    yield from _entra_mistakes(auth_type, oauth)
    if len(oauth.scopes) > _MOST_SCOPES or not all(map(_is_scope, oauth.scopes)):
        message = f"Name at most {_MOST_SCOPES} scopes, each without blanks and quotes (RFC 6749, 3.3)."
        yield Violation("oauth_config.scopes", "CHARACTER_FORBIDDEN", message)
    if oauth.signing_algorithm not in ("", *ALGORITHMS):
        message = f"Choose one of {', '.join(ALGORITHMS)}."
        yield Violation("oauth_config.signing_algorithm", "UNKNOWN_VALUE", message)


def _entra_mistakes(auth_type: str, oauth: OAuth) -> Iterator[Violation]:
    if not oauth.entra_tenant:
        return
    if not _ENTRA_TENANT.fullmatch(oauth.entra_tenant):
        message = "Use the id or a domain of the directory."
        yield Violation("oauth_config.entra_tenant", "CHARACTER_FORBIDDEN", message)
    defaults = [scope for scope in oauth.scopes if scope.endswith("/.default")]
    if auth_type == "oauth2_client_credentials" and (len(oauth.scopes) != 1 or not defaults):
        message = (
            "Entra gives programs what an administrator has granted them: name one scope that ends in "
            "`/.default`, for example `https://graph.microsoft.com/.default`."
        )
        yield Violation("oauth_config.scopes", "ENTRA_SCOPE", message)


def oauth_secret_mistakes(auth_type: str, oauth: OAuth, values: Mapping[str, str]) -> Iterator[Violation]:
    """Gives what a client's secret lacks; secrets are not repeated."""
    kind = PRIVATE_KEY_JWT if auth_type == "jwt_bearer" else oauth.client_authentication
    if kind in (BASIC, POST) and not values.get("client_secret"):
        message = "Send `client_secret`, or choose another `client_authentication`."
        yield Violation("secret.oauth.client_secret", "REQUIRED", message)
    if kind == PRIVATE_KEY_JWT and not values.get("private_key"):
        message = "Send `private_key` in PEM; it signs what stands in place of a secret."
        yield Violation("secret.oauth.private_key", "REQUIRED", message)
    key = values.get("private_key", "")
    if key and not (key.lstrip().startswith("-----BEGIN ") and "PRIVATE KEY-----" in key):
        message = "Send `private_key` in PEM: it begins with `-----BEGIN PRIVATE KEY-----`."
        yield Violation("secret.oauth.private_key", "FORMAT", message)


def _url_mistakes(path: str, url: str, *, required: bool) -> Iterator[Violation]:
    if not url:
        if required:
            yield Violation(path, "REQUIRED", f"Set `{path.rpartition('.')[2]}`.")
        return
    if not is_safe_url(url):
        message = (
            "Use an https address without user name, query and fragment; http only on the loopback interface."
        )
        yield Violation(path, "URL_INVALID", message)


def is_safe_url(url: str) -> bool:
    """Tells whether a client's secret may be sent to an address: TLS, or a server on this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment or port == 0 or len(url) > 2000:
        return False
    if any(letter <= " " or letter == "\x7f" for letter in url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _is_scope(text: str) -> bool:
    return 0 < len(text) <= 500 and all("!" <= letter <= "~" and letter not in '"\\' for letter in text)


__all__ = [
    "ALGORITHMS",
    "BASIC",
    "NONE",
    "POST",
    "PRIVATE_KEY_JWT",
    "OAuth",
    "is_safe_url",
    "oauth_mistakes",
    "oauth_secret_mistakes",
]
