"""What each OAuth method sends to its token server."""

from collections.abc import Mapping
from typing import Any

from isthmus.kit.vault import Vault
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.credentials.domain import AuthConfig, Grant
from isthmus.services.credentials.token_server import TokenServers


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
    """

    def __init__(self, vault: Vault, servers: TokenServers) -> None:
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
        secret = await self.secret(config)
        form = _form(config, document)
        try:
            return await self._servers.grant(config.oauth, secret, form)
        except Precondition as fault:
            if fault.reason == "TOKEN_GRANT_REFUSED" and "refresh_token" in form:
                raise Reauthorize(config) from None
            raise

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


__all__ = ["Grants", "Reauthorize"]
