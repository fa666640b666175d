"""How requests show who sends them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.sdk.failures import ConfigurationFailure
from isthmus.sdk.model import AuthMethod, Credential

_TOKENS = {AuthMethod.BEARER, AuthMethod.JWT_BEARER}


@dataclass(frozen=True, slots=True)
class Auth:
    """Headers and query parameters to add; both hold secrets and never print."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def bearer(cls, token: str) -> "Auth":
        """A token in the Authorization header, RFC 6750."""
        return cls({"Authorization": f"Bearer {_clean(token)}"})

    @classmethod
    def basic(cls, username: str, password: str) -> "Auth":
        """User name and password, RFC 7617."""
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        return cls({"Authorization": f"Basic {pair}"})

    @classmethod
    def of(cls, credential: Credential) -> "Auth":
        """What a leased credential asks for.

        Raises:
            ConfigurationFailure: `CREDENTIAL_METHOD_UNSUPPORTED`.
        """
        if credential.method is AuthMethod.NONE:
            return cls()
        if credential.method is AuthMethod.BASIC:
            return cls.basic(credential.username, credential.password or credential.secret)
        if credential.method is AuthMethod.API_KEY:
            key = _clean(credential.secret)
            if credential.query_param:
                return cls(params={credential.query_param: key})
            return cls({credential.header or "X-API-Key": f"{credential.prefix}{key}"})
        if credential.method in _TOKENS or credential.method.startswith("oauth2"):
            return cls.bearer(credential.secret)
        message = (
            f"Credentials of method {credential.method} cannot be sent by this client; use another method."
        )
        raise ConfigurationFailure("CREDENTIAL_METHOD_UNSUPPORTED", message)


def _clean(secret: str) -> str:
    text = secret.strip()
    if not text.isprintable() or not text.isascii():
        message = "The secret holds characters that no header may carry; enter it again without line breaks."
        raise ConfigurationFailure("CREDENTIAL_UNUSABLE", message)
    return text
