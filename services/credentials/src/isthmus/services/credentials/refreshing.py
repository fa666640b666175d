"""Gets access tokens: once, however many ask, over any number of replicas.

The lease with its fencing token lies in PostgreSQL and says who may ask the token server. What it answers is
written to the vault with check-and-set, so of two who both believe to have the lease only one leaves a trace.
"""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from isthmus.kit import Clock, Database, deadline, new_id
from isthmus.kit.logs import logger
from isthmus.kit.sharing import Shared
from isthmus.kit.vault import TenantVault, Vault
from isthmus.resilience.faults import Conflict, Fault, Missing, Precondition, RetryLater
from isthmus.services.credentials.domain import (
    AuthConfig,
    Grant,
    Token,
    TokenRow,
    TokenState,
    document_of,
    pause_after,
    token_of,
    tokens_path,
)
from isthmus.services.credentials.grants import Grants, Reauthorize
from isthmus.services.credentials.store import Rows, TokenRows

_LOOK_SECONDS = (0.02, 0.05, 0.1, 0.2)
_MOST_TURNS = 4
_MOST_KNOWN = 1000
_STORE_SECONDS = 300.0
_STOP_SECONDS = 8.0
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long who waits for whom.

    Attributes:
        hold: Seconds after which a refresher that is silent has lost its lease.
        wait: Seconds a caller waits for a token that somebody is getting.
        settle: Seconds for which a token that a host says was refused is not replaced again.
    """

    hold: float
    wait: float
    settle: float


class Tokens:
    """Gives the access token of a configuration, a new one when it is due.

    Args:
        db: Where the lease and all that is known of tokens lies.
        vault: Where tokens lie.
        grants: Gets new ones.
        clock: The time.
        patience: How long who waits for whom.
    """

    def __init__(
        self, db: Database, vault: Vault, grants: Grants, *, clock: Clock, patience: Patience
    ) -> None:
        self._db = db
        self._vault = vault
        self._grants = grants
        self._clock = clock
        self._patience = patience
        self._holder = new_id("hld")
        self._read = Shared(self._from_vault)
        self._known: OrderedDict[tuple[str, str], tuple[tuple[int, int], Token]] = OrderedDict()
        self._at_work: dict[tuple[str, str], asyncio.Task[TokenRow]] = {}

    async def current(
        self, config: AuthConfig, row: TokenRow | None, *, refused: str = "", by_person: bool = False
    ) -> Token:
        """Return a token that holds for a while.

        Args:
            config: Whose.
            row: What is known of its tokens.
            refused: A token that the external system has refused.
            by_person: Get a new one in any case, also when the last try has just failed.

        Raises:
            Precondition: A person has to do something; see `TokenServers.grant` and `Grants`.
            RetryLater: The token server or the vault is away, or somebody else still waits for it.
        """
        if by_person and row is not None:
            refused = row.token_id
        for turn in range(_MOST_TURNS):
            if row is None:
                raise Missing("AUTH_CONFIG_UNKNOWN", f"{config.name} was deleted meanwhile.")
            if self._serves(row, refused, by_person):
                token = await self.stored(config, row)
                if token is not None:
                    return token
            if row.state is not TokenState.READY or (row.is_resting and (turn or not by_person)):
                return await self._last(config, row, refused, row.failure_of(config.name))
            try:
                row = await self._refreshed(config, row)
            except RetryLater as fault:
                return await self._last(config, row, refused, fault)
        raise _pending(config)

    async def stored(self, config: AuthConfig, row: TokenRow) -> Token | None:
        """Return the token that the vault keeps as the present one; None when it is not there.

        What was read once stays in memory, so the vault is asked once for a token, not once for a lease.
        """
        key = (config.tenant_id, config.auth_config_id)
        known = self._known.get(key)
        if known is not None and known[0] == (row.epoch, row.version):
            self._known.move_to_end(key)
            return known[1]
        token = await self._read((*key, row.version, config.oauth.scopes))
        if token is not None:
            self._known[key] = (row.epoch, row.version), token
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return token

    async def _from_vault(self, key: tuple[str, str, int, tuple[str, ...]]) -> Token | None:
        tenant_id, auth_config_id, version, scopes = key
        with suppress(Missing):
            kept = await self._vault.tenant(tenant_id).read(tokens_path(auth_config_id), version=version)
            return token_of(kept, scopes)
        return None

    async def adopt(self, config: AuthConfig, grant: Grant) -> None:
        """Take up what a person's authorization has given; everything of before is worthless from then on."""
        async with self._db.tenant(config.tenant_id) as conn:
            rows = TokenRows(conn)
            await rows.reset(config.auth_config_id, TokenState.READY)
            await Rows(conn).restore(config.auth_config_id)
            own = await rows.find(config.auth_config_id)
        if own is None:
            raise Missing("AUTH_CONFIG_UNKNOWN", f"{config.name} was deleted meanwhile.")
        document = document_of(grant, new_id("tok"), self._clock.now(), {}, own.epoch)
        vault = self._vault.tenant(config.tenant_id)
        version = await vault.write(tokens_path(config.auth_config_id), document)
        token = token_of(document, config.oauth.scopes)
        assert token is not None
        async with self._db.tenant(config.tenant_id) as conn:
            await TokenRows(conn).keep(own, token, version)

    async def close(self) -> None:
        """Let those finish who wait for an answer that may hold the only good refresh token."""
        if self._at_work:
            await asyncio.wait(self._at_work.values(), timeout=_STOP_SECONDS)

    def _serves(self, row: TokenRow, refused: str, by_person: bool) -> bool:
        now = self._clock.now()
        if row.token_id != refused or not refused:
            return row.is_good(now)
        settled = row.issue_time is not None and now - row.issue_time < timedelta(
            seconds=self._patience.settle
        )
        return settled and not by_person and row.is_good(now)

    async def _last(self, config: AuthConfig, row: TokenRow, refused: str, fault: Fault) -> Token:
        """Return the token of before while it holds, where no new one can be had for the moment."""
        if isinstance(fault, RetryLater) and row.token_id != refused and row.holds(self._clock.now()):
            token = await self.stored(config, row)
            if token is not None:
                return token
        raise fault

    async def _refreshed(self, config: AuthConfig, seen: TokenRow) -> TokenRow:
        """Wait for the one who asks the token server, and be that one where nobody is."""
        key = (config.tenant_id, config.auth_config_id)
        task = self._at_work.get(key)
        if task is None:
            task = self._at_work[key] = asyncio.create_task(self._refresh(config, seen))
            task.add_done_callback(lambda done: self._done(key, done))
        try:
            async with asyncio.timeout(deadline.within(self._patience.wait)):
                return await asyncio.shield(task)
        except TimeoutError:
            raise _pending(config) from None

    def _done(self, key: tuple[str, str], task: asyncio.Task[TokenRow]) -> None:
        del self._at_work[key]
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Fault):
            _log.warning("a token was not got", auth_config_id=key[1], kind=type(error).__name__)

    async def _refresh(self, config: AuthConfig, seen: TokenRow) -> TokenRow:
        deadline.start(None)
        row, looks = seen, 0
        while True:
            if not row.is_held:
                async with self._db.tenant(config.tenant_id) as conn:
                    own = await TokenRows(conn).claim(row, self._holder, self._patience.hold)
                if own is not None:
                    return await self._work(config, own, before=row)
            await asyncio.sleep(_LOOK_SECONDS[min(looks, len(_LOOK_SECONDS) - 1)])
            looks += 1
            row = await self._look(config)
            if not row.is_unfinished and _told(row) != _told(seen):
                return row

    async def _look(self, config: AuthConfig) -> TokenRow:
        async with self._db.tenant(config.tenant_id) as conn:
            row = await TokenRows(conn).find(config.auth_config_id)
        if row is None:
            raise Missing("AUTH_CONFIG_UNKNOWN", f"{config.name} was deleted meanwhile.")
        return row

    async def _work(self, config: AuthConfig, own: TokenRow, before: TokenRow) -> TokenRow:
        holding = asyncio.create_task(self._holding(config, own))
        try:
            token, version = await self._got(config, own, before)
        except Fault as fault:
            await self._failed(config, own, fault)
            raise
        finally:
            holding.cancel()
        async with self._db.tenant(config.tenant_id) as conn:
            rows = TokenRows(conn)
            await rows.keep(own, token, version)
        return await self._look(config)

    async def _holding(self, config: AuthConfig, own: TokenRow) -> None:
        """Keep the lease while the token server takes its time."""
        while True:
            await asyncio.sleep(self._patience.hold / 3)
            with suppress(Exception):
                async with self._db.tenant(config.tenant_id) as conn:
                    await TokenRows(conn).hold(own, self._patience.hold)

    async def _got(self, config: AuthConfig, own: TokenRow, before: TokenRow) -> tuple[Token, int]:
        vault, path = self._vault.tenant(config.tenant_id), tokens_path(config.auth_config_id)
        document, version = await vault.newest(path)
        found = token_of(document, config.oauth.scopes)
        if (
            found is not None
            and version > own.version
            and document.get("epoch") == own.epoch
            and self._clock.now() < found.refresh_time
        ):
            return found, version  # somebody got it and died before saying so
        try:
            grant = await self._grants.get(config, document)
        except Reauthorize as refused:
            again, newer = await vault.newest(path)
            if newer == version:
                raise refused.told(_is_doubtful(before)) from None
            document, version = again, newer  # somebody who seemed dead has stored a newer refresh token
            grant = await self._grants.get(config, document)
        kept = document_of(grant, new_id("tok"), self._clock.now(), document, own.epoch)
        document, version = await _stored(vault, path, kept, version)
        token = token_of(document, config.oauth.scopes)
        assert token is not None
        return token, version

    async def _failed(self, config: AuthConfig, own: TokenRow, fault: Fault) -> None:
        permanent = not isinstance(fault, RetryLater)
        lost = fault.reason == "REAUTHORIZATION_NEEDED"
        state = TokenState.REAUTHORIZATION_NEEDED if lost else own.state
        rest = pause_after(fault, own.failures)
        async with self._db.tenant(config.tenant_id) as conn:
            await TokenRows(conn).fail(
                own, state, fault.reason, fault.message, permanent=permanent, rest=rest
            )
        _log.info("no token", auth_config_id=config.auth_config_id, reason=fault.reason)


async def _stored(
    vault: TenantVault, path: str, document: dict[str, Any], after: int
) -> tuple[dict[str, Any], int]:
    """Store what a token server has given; as long as the vault is away this is its only copy."""
    end = time.monotonic() + _STORE_SECONDS
    while True:
        try:
            return document, await vault.write(path, document, after=after)
        except Conflict:
            newest, version = await vault.newest(path)
            if not newest.get("access_token"):
                message = "The credential was taken back while a token was got with it."
                raise Precondition("REAUTHORIZATION_NEEDED", message) from None
            return newest, version
        except RetryLater:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.5)


def _told(row: TokenRow) -> tuple[int, int, int, TokenState]:
    return row.epoch, row.version, row.failures, row.state


def _is_doubtful(before: TokenRow) -> bool:
    """Tells whether an answer to an earlier try may have been lost, with a new refresh token in it."""
    return before.is_unfinished or before.failure_reason == "TOKEN_SERVER_UNREACHABLE"


def _pending(config: AuthConfig) -> RetryLater:
    message = f"The token server of {config.name} takes long; the token is taken when it comes: ask again."
    return RetryLater("TOKEN_PENDING", message, retry_after=1.0)


__all__ = ["Patience", "Tokens"]
