"""Applications of Microsoft Entra: one that may look after itself makes its own secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from isthmus.kit import Clock
from isthmus.resilience.faults import Fault, Precondition, RetryLater
from isthmus.services.credentials.domain import BASIC, POST, AuthConfig, AuthType
from isthmus.services.credentials.token_server import TokenServers
from isthmus.services.credentials.ways.port import REFERENCE, Renewed, Values

_LIFE_DAYS, _LONGEST_DAYS = 365, 730
_SPARE_DAYS = 60
"""How much longer than to the next rotation a secret lives, so that there is time where one fails."""
_HINT_LETTERS = 3
_NEEDED = (
    "grant it `Application.ReadWrite.OwnedBy` of Microsoft Graph and make it an owner of its own registration"
)


class EntraWay:
    """Adds a password to an application and removes the one before; both work in between.

    Hosts take no part: they never see the secret of an application.

    Args:
        servers: Reaches Entra and Graph.
        graph_url: Where Graph is.
        clock: The time.
    """

    def __init__(self, servers: TokenServers, graph_url: str, *, clock: Clock) -> None:
        self._servers = servers
        self._graph_url = graph_url.rstrip("/")
        self._clock = clock

    async def choose(self, config: AuthConfig, present: Values) -> "EntraWay | None":
        """Return this way for a program that shows Entra a client secret."""
        oauth = config.oauth
        is_program = config.auth_type is AuthType.OAUTH2_CLIENT_CREDENTIALS and oauth.entra_tenant != ""
        shows_secret = oauth.client_authentication in (BASIC, POST) and present.get("client_secret")
        return self if is_program and shows_secret else None

    def proposal(self, config: AuthConfig, old: Values) -> Values | None:  # noqa: ARG002 -- as the port says
        """Give nothing: Entra makes the secret."""
        return None

    async def renew(self, config: AuthConfig, old: Values, new: Values | None) -> Renewed:
        """Add a password; what an earlier call has added and nobody has kept is removed before."""
        token = await self._token(config, old)
        present = await self._passwords(config, token)
        if new is not None:
            kept = next((one for one in present if one.get("keyId") == new.get(REFERENCE)), None)
            if kept is not None:
                return Renewed(overlaps=True, expire_time=_moment(kept.get("endDateTime")))
        label = f"isthmus {config.auth_config_id}"
        for one in present:
            if one.get("displayName") == label and one.get("keyId") != old.get(REFERENCE):
                await self._remove(config, token, str(one.get("keyId")))
        wished = {"displayName": label, "endDateTime": f"{self._end(config):%Y-%m-%dT%H:%M:%SZ}"}
        made = await self._ask(
            config, token, "POST", "addPassword", {"passwordCredential": wished}, needed="secretText"
        )
        values = {"client_secret": str(made["secretText"]), REFERENCE: str(made.get("keyId", ""))}
        return Renewed(overlaps=True, made=values, expire_time=_moment(made.get("endDateTime")))

    async def prove(self, config: AuthConfig, new: Values) -> None:
        """Get a token with the new secret; Entra may take minutes until it knows it everywhere."""
        await self._token(config, new)

    async def retire(self, config: AuthConfig, old: Values, new: Values) -> None:
        """Remove the old password."""
        token = await self._token(config, new)
        present = await self._passwords(config, token)
        key_id = old.get(REFERENCE, "")
        if not key_id:
            # A person has entered it: Entra tells how each one begins, and never more of it.
            hint = old.get("client_secret", "")[:_HINT_LETTERS]
            alike = [
                str(one.get("keyId"))
                for one in present
                if one.get("hint") == hint and one.get("keyId") != new.get(REFERENCE)
            ]
            if len(alike) > 1:
                message = (
                    f"{len(alike)} passwords of the application begin like the old one of {config.name}: "
                    "remove the old one in the Entra admin center."
                )
                raise Precondition("OLD_SECRET_AMBIGUOUS", message)
            key_id = alike[0] if alike else ""
        if any(one.get("keyId") == key_id for one in present):
            await self._remove(config, token, key_id)

    async def _token(self, config: AuthConfig, secret: Values) -> str:
        """Get a token for Graph, whatever the credential itself is for."""
        oauth = replace(config.oauth.complete, scopes=(f"{self._graph_url}/.default",), audience="")
        form = {"grant_type": "client_credentials", "scope": oauth.scopes[0]}
        return (await self._servers.grant(oauth, secret, form)).access_token

    async def _passwords(self, config: AuthConfig, token: str) -> Sequence[Mapping[str, Any]]:
        query = "?$select=passwordCredentials"
        answer = await self._ask(config, token, "GET", query, None, needed="passwordCredentials")
        return [one for one in answer["passwordCredentials"] if isinstance(one, dict)]

    async def _remove(self, config: AuthConfig, token: str, key_id: str) -> None:
        await self._ask(config, token, "POST", "removePassword", {"keyId": key_id})

    async def _ask(
        self,
        config: AuthConfig,
        token: str,
        method: str,
        what: str,
        document: Mapping[str, Any] | None,
        *,
        needed: str = "",
    ) -> Mapping[str, Any]:
        own = f"{self._graph_url}/v1.0/applications(appId='{quote(config.oauth.client_id, safe='')}')"
        url = f"{own}{what}" if what.startswith("?") else f"{own}/{what}"
        status, headers, answer = await self._servers.call(method, url, token, document)
        if status in (200, 201, 204) and (not needed or answer.get(needed) is not None):
            return answer
        raise _refusal(config, what, status, headers, answer)

    def _end(self, config: AuthConfig) -> datetime:
        days = config.rotation.every_days
        return self._clock.now() + timedelta(
            days=min(days + _SPARE_DAYS, _LONGEST_DAYS) if days else _LIFE_DAYS
        )


def _refusal(
    config: AuthConfig, what: str, status: int, headers: Mapping[str, str], answer: Mapping[str, Any]
) -> Fault:
    """Gives the fault for what Graph does not do; of its answer only the code of the error is shown."""
    told = answer.get("error")
    code = str(told.get("code", ""))[:60] if isinstance(told, dict) else ""
    said = f"Microsoft Graph answers {what.partition('?')[0] or 'reading'} with {status} {code}".rstrip()
    if status == 429 or status >= 500:
        after = headers.get("retry-after", "")
        seconds = min(float(after), 3600.0) if after.isascii() and after.isdecimal() else 30.0
        return RetryLater("GRAPH_UNREACHABLE", f"{said}; repeat later.", retry_after=seconds)
    if status in (401, 403):
        message = f"{said}: the application of {config.name} may not change its own passwords; {_NEEDED}."
        return Precondition("ROTATION_NOT_PERMITTED", message)
    if status == 404:
        message = f"{said}: the directory has no application {config.oauth.client_id}; correct `client_id`."
        return Precondition("APPLICATION_UNKNOWN", message)
    return Precondition("GRAPH_ANSWER_INVALID", f"{said}, which is not foreseen; look at `graph_url`.")


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


__all__ = ["EntraWay"]
