"""Lends secrets, and access tokens in their place, to hosts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from isthmus.kit import Clock, Database, current_principal, new_id
from isthmus.services.credentials.domain import (
    AuthConfig,
    Lease,
    Token,
    refuse_expired,
    refuse_revoked,
)
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.refreshing import Tokens
from isthmus.services.credentials.store import Rows, TokenRows
from sqlalchemy.ext.asyncio import AsyncConnection

_OLD_FOR = timedelta(minutes=5)


class Tells(Protocol):
    """Tells the mesh what happened, in the transaction in which it did."""

    async def changed(self, conn: AsyncConnection, verb: str, config: AuthConfig, subject: str) -> None:
        """Tell that something happened to a configuration."""


class Lending:
    """Lends and records.

    Args:
        db: Where leases are recorded.
        grants: Knows where secrets are kept.
        tokens: Gets access tokens.
        events: Tells the mesh what happened.
        clock: The time.
        lease: How long a secret is lent at most.
    """

    def __init__(
        self, db: Database, grants: Grants, tokens: Tokens, events: Tells, *, clock: Clock, lease: timedelta
    ) -> None:
        self._db = db
        self._grants = grants
        self._tokens = tokens
        self._events = events
        self._clock = clock
        self._lease = lease

    async def lend(
        self,
        auth_config_id: str,
        instance_id: str,
        host_id: str,
        refused: str = "",
        refused_version: int = 0,
    ) -> tuple[Lease, AuthConfig, Mapping[str, str], Token | None]:
        """Lend a secret, or the access token that takes its place.

        Args:
            auth_config_id: The configuration.
            instance_id: What it is used for; recorded.
            host_id: Who asks; recorded.
            refused: A token that the external system has refused.
            refused_version: A secret that it has refused.

        Raises:
            Fault: As the contract tells for `LeaseCredential`.
        """
        now = self._clock.now()
        async with self._db.tenant(current_principal().tenant_id) as conn:
            if refused_version:
                await Rows(conn).fall_back(auth_config_id, refused_version, now, now + _OLD_FOR)
            config = (await Rows(conn).get(auth_config_id)).with_secret_of(now)
            if refused_version:
                config = config.after_refusal_of(refused_version)
            refuse_expired(config, now)
            refuse_revoked(config)
            if not config.auth_type.has_tokens:
                values = await self._grants.secret(config)
                lease = await self._record(conn, config, instance_id, host_id, now + self._lease)
                return lease, config, values, None
            row = await TokenRows(conn).find(auth_config_id)
        token = await self._tokens.current(config, row, refused=refused)
        # Hosts ask again when the next token is due, not when this one ends in the middle of a request.
        due = token.refresh_time if now < token.refresh_time else token.expire_time
        until = min(now + self._lease, due)
        async with self._db.tenant(config.tenant_id) as conn:
            lease = await self._record(conn, config, instance_id, host_id, until)
        kept = await self._grants.secret(config) if config.further_secrets else {}
        return lease, config, {**kept, "value": token.value}, token

    async def _record(
        self, conn: AsyncConnection, config: AuthConfig, instance_id: str, host_id: str, until: datetime
    ) -> Lease:
        lease = Lease(
            config.tenant_id,
            new_id("lse"),
            config.auth_config_id,
            instance_id,
            host_id,
            config.secret_version,
            self._clock.now(),
            until,
        )
        await Rows(conn).lend(lease)
        await self._events.changed(conn, "leased", config, current_principal().subject)
        return lease


__all__ = ["Lending", "Tells"]
