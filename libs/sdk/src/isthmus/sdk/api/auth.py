"""How requests show who sends them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.sdk.api.signing import Sign, aws_signer, shared_key_signer
from isthmus.sdk.failures import ConfigurationFailure
from isthmus.sdk.model import AuthMethod, Credential

_TOKENS = {AuthMethod.BEARER, AuthMethod.JWT_BEARER}


@dataclass(frozen=True, slots=True)
class Auth:
    """What requests show; all of it holds secrets and never prints.

    Attributes:
        headers: Added to every request.
        params: Added to every query.
        sign: Gives further headers for each request.
        identity: Certificate and private key that connections show.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    sign: Sign | None = field(default=None, repr=False)
    identity: tuple[str, str] | None = field(default=None, repr=False)

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
        special = _shown_or_signed(credential)
        if special is not None:
            return special
        message = (
            f"Credentials of method {credential.method} cannot be sent by this client; use another method."
        )
        raise ConfigurationFailure("CREDENTIAL_METHOD_UNSUPPORTED", message)


def _shown_or_signed(credential: Credential) -> Auth | None:
    """What shows itself by the connection or by a signature on each request; None for other methods."""
    if credential.method is AuthMethod.MUTUAL_TLS:
        return Auth(identity=(credential.certificate, credential.private_key))
    if credential.method is AuthMethod.HMAC:
        return Auth(sign=shared_key_signer(credential.key_id, credential.secret))
    if credential.method is AuthMethod.AWS_SIGV4:
        place = {"region": credential.region, "service": credential.service}
        return Auth(sign=aws_signer(credential.key_id, credential.secret, **place))
    return None


def _clean(secret: str) -> str:
    text = secret.strip()
    if not text.isprintable() or not text.isascii():
        message = "The secret holds characters that no header may carry; enter it again without line breaks."
        raise ConfigurationFailure("CREDENTIAL_UNUSABLE", message)
    return text
