"""How versions of mappings come into use: what is tried before, who is asked, what is told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from isthmus.kit import Clock, check_etag, current_principal
from isthmus.kit.deed import tell
from isthmus.mapper import MappingInvalid, Violation
from isthmus.resilience.faults import Conflict, Precondition
from isthmus.services.mapping.domain import (
    Break,
    FlowUse,
    GoldenResult,
    MappingVersion,
    State,
    breaks,
    compiled,
    held,
    may_break,
    refuse_breaking,
    refuse_failed,
)
from isthmus.services.mapping.domain.documents import plan_of
from isthmus.services.mapping.store import Rows, Store
from sqlalchemy.ext.asyncio import AsyncConnection

Tell = Callable[[AsyncConnection, str, MappingVersion, str], Awaitable[None]]
"""Tells the mesh, in the transaction of the change: what happened, to which version, by whom."""
_MOST_NAMED = 10


class Flows(Protocol):
    """Knows the acting tenant's flows."""

    async def using(self, mapping_id: str) -> Sequence[FlowUse]:
        """Tell how flows use a mapping."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A version that is active now, the one before, and what breaks by it."""

    mapping: MappingVersion
    former: int
    breaks: Sequence[Break] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """A version as it is now, with its mistakes or else with what became of its samples."""

    mapping: MappingVersion
    violations: Sequence[Violation]
    samples: Sequence[GoldenResult]


class Lifecycle:
    """Leads versions from draft to retired.

    Args:
        store: Keeps them.
        tell: Says what happened.
        flows: Knows who uses them.
        clock: Says when.
    """

    def __init__(self, store: Store, tell: Tell, flows: Flows, clock: Clock) -> None:
        self._store = store
        self._tell = tell
        self._flows = flows
        self._clock = clock

    async def validate(self, mapping_id: str, version: int) -> Validation:
        """Try a version; one that passes and is not in use yet, or not any more, is validated."""
        async with self._own() as rows:
            mapping = await rows.get(mapping_id, version)
        violations, samples = await asyncio.to_thread(_tried, mapping)
        if violations or not all(one.holds for one in samples) or mapping.state is State.VALIDATED:
            return Validation(mapping, violations, samples)
        async with self._own() as rows:
            await rows.get(mapping_id, lock=True)
            mapping = await rows.get(mapping_id, mapping.version)
            if mapping.state is not State.VALIDATED:
                mapping = await self._become(rows, mapping, State.VALIDATED, "validated")
        return Validation(mapping, violations, samples)

    async def activate(
        self, mapping_id: str, version: int, *, allow_breaking: bool, etag: str = ""
    ) -> Activation:
        """Make a version the active one."""
        async with self._own() as rows:
            mapping = await rows.get(mapping_id, version)
        if mapping.is_active:
            return Activation(mapping, mapping.version)
        if mapping.state is State.RETIRED:
            message = f"Version {mapping.version} is retired; validate it to take it back, then activate it."
            raise Precondition("MAPPING_VERSION_RETIRED", message, path="version")
        if mapping.state is State.DRAFT:
            violations, samples = await asyncio.to_thread(_tried, mapping)
            if violations:
                compiled(mapping.documents, violations)
            refuse_failed(list(samples))
        found = await self.judge(mapping)
        if not allow_breaking:
            refuse_breaking(found)
        async with self._own() as rows:
            newest = await rows.get(mapping_id, lock=True)
            check_etag(etag, newest.version)
            check_unmoved(mapping, newest)
            tell(before={"active_version": newest.active_version})
            now = self._clock.now()
            changed = replace(
                mapping, state=State.VALIDATED, active_version=mapping.version, activate_time=now
            )
            await rows.keep_state(changed)
            await self._tell(rows.conn, "activated", changed, current_principal().subject)
        return Activation(changed, newest.active_version, found)

    async def roll_back(
        self, mapping_id: str, version: int, *, allow_breaking: bool, etag: str = ""
    ) -> Activation:
        """Make an earlier version the active one again."""
        async with self._own() as rows:
            newest = await rows.get(mapping_id)
            wanted = await (rows.get(mapping_id, version) if version else rows.active_before(newest))
        if wanted is None:
            message = (
                f"No version of {newest.name} before version {newest.active_version} was active, or all are "
                "retired; ListMappingVersions shows what there is."
            )
            raise Precondition("MAPPING_NOTHING_BEFORE", message, path="version")
        if wanted.activate_time is None:
            message = f"Version {wanted.version} was never active; activate it, if that is what is meant."
            raise Precondition("MAPPING_VERSION_NEVER_ACTIVE", message, path="version")
        return await self.activate(mapping_id, wanted.version, allow_breaking=allow_breaking, etag=etag)

    async def retire(self, mapping_id: str, version: int) -> MappingVersion:
        """Take a version out of use."""
        async with self._own() as rows:
            mapping = await rows.get(mapping_id, version)
        _refuse_active(mapping)
        if mapping.state is State.RETIRED:
            return mapping
        pins = [flow.name for flow in await self._flows.using(mapping_id) if flow.version == mapping.version]
        if pins:
            names = ", ".join(dict.fromkeys(pins[:_MOST_NAMED]))
            more = f" and {len(pins) - _MOST_NAMED} more" if len(pins) > _MOST_NAMED else ""
            message = (
                f"Version {mapping.version} of {mapping.name} is pinned by {names}{more}; "
                "have them follow the active version or pin another one, then retire it."
            )
            raise Precondition("MAPPING_VERSION_PINNED", message, path="version", metadata={"flows": names})
        async with self._own() as rows:
            await rows.get(mapping_id, lock=True)
            mapping = await rows.get(mapping_id, mapping.version)
            _refuse_active(mapping)
            return await self._become(rows, mapping, State.RETIRED, "retired")

    async def judge(self, after: MappingVersion, uses: Sequence[FlowUse] | None = None) -> list[Break]:
        """Tell which flows would break if a version took the place of the active one.

        Args:
            after: The version, saved or not.
            uses: The flows, where they are known already; else they are asked for if anything may break.
        """
        if after.active_version in {0, after.version}:
            return []
        async with self._own() as rows:
            before = (await rows.get(after.mapping_id, after.active_version)).documents
        if not await asyncio.to_thread(may_break, before, after.documents):
            return []
        if uses is None:
            uses = await self._flows.using(after.mapping_id)
        followers = [flow for flow in uses if not flow.version]
        if not followers:
            return []
        async with self._own() as rows:
            schemas = await rows.schemas([flow.flow_id for flow in followers])
        return await asyncio.to_thread(breaks, before, after.documents, followers, schemas)

    async def _become(self, rows: Rows, mapping: MappingVersion, state: State, verb: str) -> MappingVersion:
        tell(before={"state": mapping.state.value})
        changed = replace(mapping, state=state)
        await rows.keep_state(changed)
        await self._tell(rows.conn, verb, changed, current_principal().subject)
        return changed

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


def check_unmoved(judged: MappingVersion, newest: MappingVersion) -> None:
    """Refuse to go on from what is not so any more.

    Raises:
        Conflict: `MAPPING_ACTIVATED_MEANWHILE`.
    """
    if judged.active_version != newest.active_version:
        message = (
            f"Version {newest.active_version} of {newest.name} became the active one meanwhile; "
            "look at it, then repeat."
        )
        raise Conflict("MAPPING_ACTIVATED_MEANWHILE", message, path="version")


def _refuse_active(mapping: MappingVersion) -> None:
    if mapping.is_active:
        message = (
            f"Version {mapping.version} of {mapping.name} is the active one; activate another one first."
        )
        raise Precondition("MAPPING_VERSION_ACTIVE", message, path="version")


def _tried(mapping: MappingVersion) -> tuple[Sequence[Violation], Sequence[GoldenResult]]:
    try:
        plan = plan_of(mapping.documents)
    except MappingInvalid as invalid:
        return invalid.violations, ()
    return (), held(plan, mapping.golden_samples)


__all__ = ["Activation", "Flows", "Lifecycle", "Tell", "Validation", "check_unmoved"]
