"""What makes an authentication configuration good."""

import re
from collections.abc import Iterator
from datetime import datetime

from isthmus.resilience.faults import Precondition, Violation
from isthmus.services.credentials.domain.model import AuthConfig, AuthType, Parameters, Secret
from isthmus.services.credentials.domain.oauth import OAuth, oauth_mistakes, oauth_secret_mistakes

_LONGEST_SECRET = 16 * 1024
_OF_LINES = {"private_key", "certificate"}
# RFC 9110 section 5.6.2: what a header's name is made of.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")


_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MOST_FURTHER = 20
_MATERIAL = {
    AuthType.API_KEY: "api_key",
    AuthType.BASIC: "password",
    AuthType.BEARER: "bearer_token",
    AuthType.MUTUAL_TLS: "client_certificate",
    AuthType.HMAC: "signing_key",
    AuthType.AWS_SIGV4: "signing_key",
}
_NEEDED = {
    AuthType.BASIC: ("username",),
    AuthType.HMAC: ("key_id",),
    AuthType.AWS_SIGV4: ("key_id", "region", "service"),
}


def mistakes_of(
    auth_type: AuthType | None, parameters: Parameters, oauth: OAuth, secret: Secret | None
) -> list[Violation]:
    """Gives everything wrong with the parts of a method; secrets are not repeated."""
    found = list(_parameter_mistakes(auth_type, parameters))
    has_tokens = auth_type is not None and auth_type.has_tokens
    if auth_type is not None and has_tokens:
        found += oauth_mistakes(auth_type, oauth)
    elif oauth != OAuth():
        found.append(
            Violation("oauth_config", "EXCLUSIVE", "Clear `oauth_config`; the method has no tokens.")
        )
    if secret is not None:
        found += _secret_mistakes(auth_type, secret)
        if auth_type is not None and has_tokens and secret.material == "oauth":
            found += oauth_secret_mistakes(auth_type, oauth, secret.values)
    return found


def _parameter_mistakes(auth_type: AuthType | None, parameters: Parameters) -> Iterator[Violation]:
    for name in _NEEDED.get(auth_type, ()) if auth_type is not None else ():
        if not getattr(parameters, name):
            yield Violation(f"parameters.{name}", "REQUIRED", f"Set `{name}`; {auth_type} needs it.")
    for name in ("key_id", "region", "service"):
        text = getattr(parameters, name)
        if len(text) > 200 or any(not "!" <= letter <= "~" for letter in text):
            message = f"Use at most 200 letters, digits and signs without blanks for `{name}`."
            yield Violation(f"parameters.{name}", "CHARACTER_FORBIDDEN", message)
    if parameters.alternate_username:
        yield from _alternate_mistakes(auth_type, parameters)
    if ":" in parameters.username:
        message = "A user name of basic authentication has no colon (RFC 7617); remove it."
        yield Violation("parameters.username", "CHARACTER_FORBIDDEN", message)
    if parameters.header_name and not _HEADER.fullmatch(parameters.header_name):
        message = "Use letters, digits and dashes for the name of a header."
        yield Violation("parameters.header_name", "CHARACTER_FORBIDDEN", message)
    if parameters.header_name and parameters.query_parameter:
        message = "Send the key in a header or in the query, not in both; clear one of the two."
        yield Violation("parameters.query_parameter", "EXCLUSIVE", message)
    if any(letter < " " for letter in parameters.prefix):
        yield Violation("parameters.prefix", "CHARACTER_FORBIDDEN", "Remove control characters.")


def _alternate_mistakes(auth_type: AuthType | None, parameters: Parameters) -> Iterator[Violation]:
    path = "parameters.alternate_username"
    if auth_type is not AuthType.BASIC:
        yield Violation(path, "EXCLUSIVE", "Clear `alternate_username`; only basic has accounts.")
    elif parameters.alternate_username == parameters.username:
        yield Violation(path, "EXCLUSIVE", "Name two different accounts; these are the same.")
    if any(letter < " " or letter == ":" for letter in parameters.alternate_username):
        yield Violation(path, "CHARACTER_FORBIDDEN", "Remove colons and control characters.")


def _secret_mistakes(auth_type: AuthType | None, secret: Secret) -> Iterator[Violation]:
    yield from _further_mistakes(secret)
    if not secret.material:
        return
    fitting = "oauth" if auth_type is None or auth_type.has_tokens else _MATERIAL[auth_type]
    if auth_type is not None and secret.material != fitting:
        message = f"The secret is sent as `{secret.material}`, the method {auth_type} wants `{fitting}`."
        yield Violation("secret", "WRONG_KIND", message)
    needed = ("certificate", "private_key") if fitting == "client_certificate" else ("value",)
    if secret.material != "oauth" and not all(map(secret.values.get, needed)):
        yield Violation("secret", "REQUIRED", "Send the secret; it is empty.")
    if any(len(value) > _LONGEST_SECRET for value in secret.values.values()):
        yield Violation("secret", "TOO_LONG", f"A secret has at most {_LONGEST_SECRET:,} characters.")
    inline = (value for name, value in secret.values.items() if name not in _OF_LINES)
    if any(letter in "\r\n\0" for value in inline for letter in value):
        message = "A secret has no line breaks: they would end the header that carries it."
        yield Violation("secret", "CHARACTER_FORBIDDEN", message)


def _further_mistakes(secret: Secret) -> Iterator[Violation]:
    if len(secret.further) > _MOST_FURTHER:
        message = f"Send at most {_MOST_FURTHER} further secrets with one credential."
        yield Violation("secret.further", "TOO_MANY", message)
    for name, value in secret.further.items():
        if not _NAME.fullmatch(name):
            message = "Name further secrets as the connector's settings do: small letters, digits and _."
            yield Violation("secret.further", "CHARACTER_FORBIDDEN", message)
        if len(value) > _LONGEST_SECRET or "\0" in value:
            message = f"A further secret has at most {_LONGEST_SECRET:,} characters, and no NUL."
            yield Violation("secret.further", "TOO_LONG", message)


def refuse_expired(config: AuthConfig, now: datetime) -> None:
    """Keeps a secret that has ended from being lent.

    Raises:
        Precondition: `AUTH_CONFIG_EXPIRED`.
    """
    if config.expire_time is not None and config.expire_time <= now:
        message = (
            f"The secret of {config.name} ended at {config.expire_time:%Y-%m-%d %H:%M} UTC; enter a new one."
        )
        raise Precondition("AUTH_CONFIG_EXPIRED", message)


def refuse_revoked(config: AuthConfig) -> None:
    """Keeps a secret from being lent that a person has taken out of use.

    Raises:
        Precondition: `AUTH_CONFIG_REVOKED`.
    """
    if config.revoke_time is not None:
        raise revoked(config.name)


def revoked(name: str) -> Precondition:
    """Gives the fault for a configuration that is out of use."""
    message = f"{name} was taken out of use; enter a new secret or authorize it again."
    return Precondition("AUTH_CONFIG_REVOKED", message)


def tokens_path(auth_config_id: str) -> str:
    """Gives where in the tenant's folder of the vault the tokens lie that were got with a secret."""
    return f"{auth_config_id}/tokens"


__all__ = ["mistakes_of", "refuse_expired", "refuse_revoked", "revoked", "tokens_path"]
