"""What each OAuth method sends to its token server."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from isthmus.kit import Clock
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.credentials.domain import NONE, AuthConfig, AuthType, Grant, OAuth
from isthmus.services.credentials.token_server import TokenServers, assertion

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Reauthorize(Exception):
    """The token server does not take a refresh token."""

    def __init__(self, config: AuthConfig) -> None:
        super().__init__("REAUTHORIZATION_NEEDED")
        self._name = config.name

    def told(self, doubtful: bool) -> Precondition:
        """Gives the fault for it.

        Args:
            doubtful: An earlier answer may have been lost on its way.
        """
        why = (
            "the answer with the one that took its place was lost" if doubtful else "it ended or was revoked"
        )
        message = (
            f"The token server takes the refresh token of {self._name} no more, because {why}; "
            "authorize it again."
        )
        return Precondition("REAUTHORIZATION_NEEDED", message)


class Grants:
    """Gets tokens by the method of a configuration.

    Args:
        vault: Where clients' secrets lie.
        servers: Asks token servers.
        clock: The time.
    """

    def __init__(self, vault: Vault, servers: TokenServers, *, clock: Clock) -> None:
        self._clock = clock
        self._vault = vault
        self._servers = servers

    async def get(self, config: AuthConfig, document: Mapping[str, Any]) -> Grant:
        """Ask the token server of a configuration for a token.

        Args:
            config: The configuration.
            document: What the vault keeps of the tokens before, the refresh token above all.

        Raises:
            Fault: As `TokenServers.grant`.
            Precondition: `SECRET_MISSING`.
            Reauthorize: The refresh token is not taken.
        """
        try:
            return await self._got(config, document)
        except Precondition as fault:
            if fault.reason != "TOKEN_CLIENT_REFUSED" or not config.overlaps(self._clock.now()):
                raise
        old = replace(config.with_old_secret(), overlap_end_time=None)
        return await self._got(old, document)

    async def _got(self, config: AuthConfig, document: Mapping[str, Any]) -> Grant:
        secret = await self.secret(config)
        client = config.oauth.complete
        form = _form(config, document)
        try:
            if config.auth_type is AuthType.JWT_BEARER:
                return await self._servers.grant(_nobody(client), {}, _bearer_form(client, secret))
            return await self._servers.grant(client, secret, form)
        except Precondition as fault:
            if fault.reason == "TOKEN_GRANT_REFUSED" and "refresh_token" in form:
                raise Reauthorize(config) from None
            raise

    async def redeem(self, config: AuthConfig, form: Mapping[str, str]) -> Grant:
        """Exchange what a person's authorization has given for tokens.

        Raises:
            Fault: As `get`.
        """
        return await self._servers.grant(config.oauth.complete, await self.secret(config), form)

    async def begin_device(self, config: AuthConfig) -> dict[str, Any]:
        """Ask for a code that a person enters on another device; gives the server's answer.

        Raises:
            Fault: As `get`.
        """
        client = config.oauth.complete
        form = {"scope": " ".join(client.scopes), "client_id": client.client_id}
        if client.audience:
            form["audience"] = client.audience
        url = client.device_authorization_url
        return await self._servers.ask(url, client, await self.secret(config), form, needed="device_code")

    async def secret(self, config: AuthConfig) -> dict[str, str]:
        """Return the secret parts of a configuration.

        Raises:
            Precondition: `SECRET_MISSING`.
        """
        vault = self._vault.tenant(config.tenant_id)
        try:
            return dict(await vault.read(config.auth_config_id, version=config.secret_version))
        except Missing:
            message = f"The vault has no secret for {config.name}; enter it again."
            raise Precondition("SECRET_MISSING", message) from None


def _form(config: AuthConfig, document: Mapping[str, Any]) -> dict[str, str]:
    if config.auth_type.needs_authorization:
        if not document.get("refresh_token"):
            raise Reauthorize(config)
        return {"grant_type": "refresh_token", "refresh_token": document["refresh_token"]}
    return {
        "grant_type": "client_credentials",
        "scope": " ".join(config.oauth.scopes),
        "audience": config.oauth.audience,
    }


def _bearer_form(client: OAuth, secret: Mapping[str, str]) -> dict[str, str]:
    """An assertion that is the grant itself, RFC 7523 section 2.1; Google wants the scopes inside it."""
    scope = " ".join(client.scopes)
    claims = {
        "sub": client.subject or client.client_id,
        "aud": client.audience or client.token_url,
        **({"scope": scope} if scope else {}),
    }
    return {"grant_type": _JWT_BEARER, "assertion": assertion(client, secret, claims), "scope": scope}


def _nobody(client: OAuth) -> OAuth:
    """The assertion says who asks; nothing else does."""
    return replace(client, client_id="", client_authentication=NONE)


__all__ = ["Grants", "Reauthorize"]
