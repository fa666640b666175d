"""Replaces secrets together with the systems that they are for, one step after another.

The new secret is in the vault before the system knows it, or as soon as the system has made it, beside the
old one; each step can be done twice. So whoever takes over from one who died finds both secrets and goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from isthmus.kit import Clock, Database, acting_for, deadline
from isthmus.kit.deed import on_its_own, tell
from isthmus.kit.logs import logger
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import Broken, Fault, Missing, Precondition, RetryLater
from isthmus.services.credentials.domain import (
    POLICY,
    AuthConfig,
    RotationAction,
    RotationPolicy,
    RotationStage,
    SystemUnknown,
    pause_before_try,
    refuse_revoked,
    under_way,
)
from isthmus.services.credentials.leasing import Tells
from isthmus.services.credentials.store import Held, RotationRows, Rows
from isthmus.services.credentials.ways import Renewed, Values, Ways
from sqlalchemy.ext.asyncio import AsyncConnection

_TRY_SECONDS, _HOLD_SECONDS, _STOP_SECONDS = 90.0, 120.0, 8.0
_AT_ONCE = 100
_STORE_AGAIN_SECONDS = 0.5
_FROM = "rotated_from"
"""The part of a new secret that says which version it takes the place of: the write-ahead of a rotation."""
_METHOD = "isthmus.credentials.v1.CredentialsService/RotateAuthConfig"
_log = logger(__name__)


class Rotating:
    """Does what policies and people want.

    Args:
        db: Where it stands how far a rotation is.
        vault: Where secrets are.
        events: Tells the mesh.
        ways: Lead to the systems.
        clock: The time.
    """

    def __init__(self, db: Database, vault: Vault, events: Tells, ways: Ways, *, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._events = events
        self._ways = ways
        self._clock = clock
        self._at_work: set[asyncio.Task[Fault | None]] = set()
        self.woken = asyncio.Event()
        """Set when there may be something to do earlier than anybody who waits can know."""

    async def admit(self, config: AuthConfig) -> None:
        """Refuse a credential whose new secrets only a person can make.

        Raises:
            Precondition: `ROTATION_UNSUPPORTED`.
            RetryLater: Nobody can tell now.
        """
        with acting_for(config.tenant_id):
            await self._ways.of(config, await self._read(config, config.secret_version))

    async def foresee(
        self, config: AuthConfig, before: RotationPolicy, present: Values | None = None
    ) -> None:
        """Refuse a policy that could not be followed when it is due, as far as that is known now.

        Args:
            config: The credential with its new policy.
            before: The policy that it had.
            present: Its secret; by default what the vault has.

        Raises:
            Precondition: `ROTATION_UNSUPPORTED`.
        """
        policy = config.rotation.policy
        if policy.action is not RotationAction.ROTATE or policy == before:
            return
        # What cannot be known now shows when it is due, as it would have without asking.
        with suppress(SystemUnknown, RetryLater, Missing), acting_for(config.tenant_id):
            secret = await self._read(config, config.secret_version) if present is None else present
            await self._ways.of(config, secret)

    async def start(self, config: AuthConfig, by: str, keep_seconds: int) -> None:
        """Begin a rotation and bring it as far as it gets now.

        Raises:
            Precondition: `ROTATION_UNSUPPORTED`, `ROTATION_UNDER_WAY`, or what the system said.
            RetryLater: Something is away; the rotation goes on by itself.
        """
        refuse_revoked(config)
        await self.admit(config)
        async with self._db.tenant(config.tenant_id) as conn:
            now = self._clock.now()
            if not await RotationRows(conn).begin(config.auth_config_id, by, keep_seconds, now):
                rotation = (await Rows(conn).get(config.auth_config_id)).rotation
                raise under_way(config.name, rotation.stage, rotation.try_time or config.overlap_end_time)
        async with self._db.system() as conn:
            held = await RotationRows(conn).claim(now, _HOLD_SECONDS, config.auth_config_id)
        if held is None:
            return  # the sweep of another replica has it already
        # Whoever asked may leave: what has begun is brought to an end all the same.
        task = asyncio.create_task(self._try(held, by_person=True))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        fault = await asyncio.shield(task)
        self.woken.set()
        if fault is not None:
            raise fault

    async def sweep(self) -> None:
        """Remind of what people have to do, begin what is due, and go on with what is under way."""
        while await self._remind() == _AT_ONCE:
            pass
        async with self._db.system() as conn:
            await RotationRows(conn).begin_due(self._clock.now(), POLICY)
        while True:
            async with self._db.system() as conn:
                held = await RotationRows(conn).claim(self._clock.now(), _HOLD_SECONDS)
            if held is None:
                return
            await self._try(held)

    async def next_time(self) -> datetime | None:
        """Return when there is something to do again; None when nothing is ahead."""
        async with self._db.system() as conn:
            found = await RotationRows(conn).next_time()
        return found.astimezone(UTC) if found is not None else None

    async def close(self) -> None:
        """Let those finish who are in the middle of something."""
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=_STOP_SECONDS)

    async def _remind(self) -> int:
        async with self._db.system() as conn:
            found = await RotationRows(conn).reminded(self._clock.now(), _AT_ONCE)
            for config in found:
                await self._events.changed(conn, "rotation_due", config, POLICY)
        return len(found)

    async def _try(self, held: Held, *, by_person: bool = False) -> Fault | None:
        """Do the next steps; gives what stands in the way."""
        config = held.config
        deadline.start(None)
        with acting_for(config.tenant_id):
            try:
                async with asyncio.timeout(_TRY_SECONDS):
                    await self._step(held)
            except TimeoutError:
                message = f"A step took more than {_TRY_SECONDS:g} s; it is tried again."
                fault: Fault = RetryLater("ROTATION_SLOW", message)
            except Fault as error:
                fault = error
            except Exception as error:
                # The text of an unforeseen error may repeat a secret.
                fault = Broken("ROTATION_BROKEN", f"A step broke off ({type(error).__name__}).")
            else:
                return None
            await self._failed(held, fault, by_person=by_person)
        return fault

    async def _step(self, held: Held) -> None:
        if held.config.rotation.stage is RotationStage.RETIRING:
            await self._retire(held)
        else:
            await self._renew(held)

    async def _renew(self, held: Held) -> None:
        config = held.config
        folder, path = self._vault.tenant(config.tenant_id), config.auth_config_id
        old = await self._read(config, config.secret_version)
        way = await self._ways.of(config, old)
        newest, number = await folder.newest(path)
        new: Values | None = newest if newest.get(_FROM) == str(config.secret_version) else None
        if new is None and (proposed := way.proposal(config, old)) is not None:
            new = self._marked(config, old, proposed)
            number = await folder.write(path, dict(new), after=number)
        if new is not None and not await self._note(held, number):
            return
        renewed = await way.renew(config, old, new)
        if renewed.made is not None:
            new = self._marked(config, old, renewed.made)
            number = await self._stored(config, new, number)
            if not await self._note(held, number):
                return
        assert new is not None
        await way.prove(config, new)
        await self._switch(held, number, renewed)

    async def _switch(self, held: Held, version: int, renewed: Renewed) -> None:
        """Let the new secret count from now on."""
        async with self._change(held) as conn:
            config = await RotationRows(conn).own(held)
            if config is None:
                return
            now, rotation = self._clock.now(), config.rotation
            ends = now + timedelta(seconds=rotation.keep_seconds)
            changed = rotation.renewed(now, rotation.wanted_by)
            new = replace(
                config,
                secret_version=version,
                old_secret_version=config.secret_version,
                overlap_end_time=ends if renewed.overlaps else None,
                old_until=None,
                expire_time=renewed.expire_time,
                parameters=config.parameters.alternated,
                update_time=now,
                revision=config.revision + 1,
                rotation=changed.retiring(ends) if renewed.overlaps else changed,
            )
            await Rows(conn).change(new)
            await RotationRows(conn).release(held)
            await self._events.changed(conn, "rotated", new, rotation.wanted_by)

    async def _retire(self, held: Held) -> None:
        config = held.config
        new = await self._read(config, config.secret_version)
        old = await self._read(config, config.old_secret_version)
        way = await self._ways.of(config, new)
        await way.retire(config, old, new)
        async with self._change(held) as conn:
            present = await RotationRows(conn).own(held)
            if present is None:
                return
            done = replace(
                present, overlap_end_time=None, old_until=None, rotation=present.rotation.ended(),
                update_time=self._clock.now(), revision=present.revision + 1,
            )  # fmt: skip
            await Rows(conn).change(done)
            await RotationRows(conn).release(held)
            await self._events.changed(conn, "retired", done, POLICY)

    async def _failed(self, held: Held, fault: Fault, *, by_person: bool) -> None:
        """Say why, and when it is tried again; what a person wanted and could not begin is over."""
        async with self._change(held) as conn:
            config = await RotationRows(conn).own(held)
            if config is None:
                return
            rotation = config.rotation
            failed = replace(
                rotation,
                failures=rotation.failures + 1,
                failure_reason=fault.reason,
                failure_message=fault.message,
                try_time=self._clock.now() + pause_before_try(rotation.failures),
            )
            if by_person and not rotation.version and isinstance(fault, Precondition):
                failed = rotation.ended()
            config = replace(config, rotation=failed)
            await Rows(conn).change(config)
            await RotationRows(conn).release(held)
            await self._events.changed(conn, "rotation_failed", config, rotation.wanted_by)
        _log.info("a rotation failed", auth_config_id=config.auth_config_id, reason=fault.reason)

    @asynccontextmanager
    async def _change(self, held: Held) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that the audit trail hears of, also where a schedule and no person wanted it."""
        tenant_id = held.config.tenant_id
        with on_its_own("credentials", tenant_id, _METHOD):
            tell(target=held.config.auth_config_id)
            async with self._db.tenant(tenant_id) as conn:
                yield conn

    async def _stored(self, config: AuthConfig, new: Values, after: int) -> int:
        """Store what a system has made; as long as the vault is away this is its only copy."""
        folder = self._vault.tenant(config.tenant_id)
        while True:
            try:
                return await folder.write(config.auth_config_id, dict(new), after=after)
            except RetryLater:
                await asyncio.sleep(_STORE_AGAIN_SECONDS)
                newest, number = await self._newest(config, after)
                if newest == new:
                    return number  # it was stored, and only the answer was lost

    async def _newest(self, config: AuthConfig, otherwise: int) -> tuple[Mapping[str, str], int]:
        try:
            return await self._vault.tenant(config.tenant_id).newest(config.auth_config_id)
        except RetryLater:
            return {}, otherwise

    async def _note(self, held: Held, version: int) -> bool:
        async with self._db.tenant(held.config.tenant_id) as conn:
            return await RotationRows(conn).note(held, version)

    async def _read(self, config: AuthConfig, version: int) -> Values:
        folder = self._vault.tenant(config.tenant_id)
        found: Values = await folder.read(config.auth_config_id, version=version)
        return found

    def _marked(self, config: AuthConfig, old: Values, new: Values) -> dict[str, str]:
        kept = {name: value for name, value in old.items() if name not in ("reference", _FROM)}
        return {**kept, **new, _FROM: str(config.secret_version)}


__all__ = ["Rotating"]
