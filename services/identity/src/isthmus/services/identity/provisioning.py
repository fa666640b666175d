"""Keeps the users and groups that a tenant's directory provisions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from isthmus.kit import Clock, check_etag, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import Missing
from isthmus.services.identity.domain import Group, User
from isthmus.services.identity.domain.scim import (
    GROUPS,
    Document,
    MemberChange,
    ResourceType,
    Tolerance,
    View,
    group_document,
    group_name,
    ids_in,
    kept,
    kept_of_user,
    named_so,
    patched,
    read,
    refusal,
    user_document,
    with_words,
)
from isthmus.services.identity.login import Door
from isthmus.services.identity.messages import group_message, user_message
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.store import Directory, Groups, People, Provisioned, Rows
from isthmus.services.identity.tells import Tells

Change = Callable[[Document], tuple[Document, MemberChange]]


class Provisioning:
    """Does what a directory asks for, inside the caller's transaction.

    Args:
        door: Ends sessions.
        second_factor: Forgets authenticators.
        events: Tells the mesh what happened.
        clock: The time.
    """

    def __init__(self, door: Door, second_factor: SecondFactor, events: Tells, clock: Clock) -> None:
        self._door = door
        self._second_factor = second_factor
        self._events = events
        self._clock = clock

    async def create_user(self, rows: Rows, tenant_id: str, document: Document, by: str) -> Provisioned[User]:
        """Make a user without a password; only an external provider lets this one in.

        Raises:
            AlreadyExists: `USER_NAME_TAKEN`.
        """
        now, said = self._clock.now(), kept(document)
        blank = User(
            tenant_id=tenant_id,
            user_id=new_id("usr"),
            name=named_so(document),
            display_name="",
            email="",
            external_id="",
            roles=(),
            is_disabled=False,
            password_hash=None,
            must_change_password=False,
            created_by=by,
            create_time=now,
            update_time=now,
            revision=0,
        )
        user = with_words(blank, document, now)
        await People(rows.conn).add(user)
        stored = await Directory(rows.conn).save_user(user, said)
        await self._events.user(rows.conn, "created", stored, by)
        return Provisioned(stored, said)

    async def change_user(
        self, rows: Rows, user_id: str, change: Change, *, etag: str, by: str
    ) -> Provisioned[User]:
        """Change a user; one who is made inactive loses all sessions.

        Raises:
            Missing: `SCIM_RESOURCE_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
            AlreadyExists: `USER_NAME_TAKEN`.
        """
        directory = Directory(rows.conn)
        found = await directory.user(user_id, lock=True)
        if found is None:
            raise unknown("user", user_id)
        user = found.item
        check_etag(etag, user.revision)
        document, _ = change({**found.document, "active": not user.is_disabled})
        said = kept_of_user(document)
        changed = with_words(user, document, self._clock.now())
        if said == found.document and changed == replace(user, update_time=changed.update_time):
            return found
        tell(before=user_message(user))
        stored = await directory.save_user(changed, said)
        if stored.is_disabled:
            await self._door.end(rows, "user_disabled", by, user_id=user_id)
        await self._events.user(rows.conn, "updated", stored, by)
        return Provisioned(stored, said)

    async def delete_user(self, rows: Rows, user_id: str, etag: str, by: str) -> None:
        """Delete a user with all sessions.

        Raises:
            Missing: `SCIM_RESOURCE_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
        """
        found = await Directory(rows.conn).user(user_id, lock=True)
        if found is None:
            raise unknown("user", user_id)
        check_etag(etag, found.item.revision)
        tell(before=user_message(found.item))
        await People(rows.conn).remove(found.item)
        if found.item.has_second_factor:
            await self._second_factor.forget(found.item)
        await self._events.user(rows.conn, "deleted", found.item, by)

    async def create_group(
        self, rows: Rows, tenant_id: str, document: Document, by: str, tolerance: Tolerance
    ) -> Provisioned[Group]:
        """Make a group without roles.

        Raises:
            AlreadyExists: `GROUP_NAME_TAKEN`.
        """
        now = self._clock.now()
        group = Group(
            tenant_id=tenant_id,
            group_id=new_id("grp"),
            name=group_name(document),
            description="",
            external_id="",
            roles=(),
            created_by=by,
            create_time=now,
            update_time=now,
            revision=0,
        )
        await Groups(rows.conn).add(group)
        stored = await Directory(rows.conn).save_group(group, kept(document))
        await self._events.group(rows.conn, "created", stored, by)
        members = MemberChange()
        members.add(ids_in(document.get("members")))
        await self._change_members(rows, stored, members, by, tolerance)
        return Provisioned(stored, kept(document))

    async def change_group(
        self, rows: Rows, group_id: str, change: Change, *, etag: str, by: str, tolerance: Tolerance
    ) -> Provisioned[Group]:
        """Change a group and who is in it; its roles stay.

        Raises:
            Missing: `SCIM_RESOURCE_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
            AlreadyExists: `GROUP_NAME_TAKEN`.
        """
        directory = Directory(rows.conn)
        found = await directory.group(group_id, lock=True)
        if found is None:
            raise unknown("group", group_id)
        group = found.item
        check_etag(etag, group.revision)
        document, members = change(found.document)
        tell(before=group_message(group))
        are_others = await self._change_members(rows, group, members, by, tolerance)
        is_same = kept(document) == found.document and group_name(document) == group.name
        if is_same and not are_others:
            return found
        changed = replace(group, name=group_name(document), update_time=self._clock.now())
        stored = await directory.save_group(changed, kept(document))
        if not is_same:
            await self._events.group(rows.conn, "updated", stored, by)
        return Provisioned(stored, kept(document))

    async def delete_group(self, rows: Rows, group_id: str, etag: str, by: str) -> None:
        """Delete a group; its members stay.

        Raises:
            Missing: `SCIM_RESOURCE_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
        """
        found = await Directory(rows.conn).group(group_id, lock=True)
        if found is None:
            raise unknown("group", group_id)
        check_etag(etag, found.item.revision)
        tell(before=group_message(found.item))
        await Groups(rows.conn).remove(found.item)
        await self._events.group(rows.conn, "deleted", found.item, by)

    async def _change_members(
        self, rows: Rows, group: Group, change: MemberChange, by: str, tolerance: Tolerance
    ) -> bool:
        """Let members in and out; tell whether anybody came or went."""
        if not change.is_any:
            return False
        directory = Directory(rows.conn)
        if change.put:
            known = await directory.known(change.put)
            for id_ in [one for one in change.put if one not in known]:
                if not tolerance.unknown_members:
                    raise refusal("invalidValue", f"There is no provisioned user `{id_}` to be a member.")
                del change.put[id_]
        added, removed = await directory.change_members(group, change)
        if added or removed:
            await self._events.group(rows.conn, "members_changed", group, by, added=added, removed=removed)
        return bool(added or removed)


def replacing(kind: ResourceType, raw: object, tolerance: Tolerance) -> Change:
    """Return the change that puts another document in place of the present one."""
    document = read(kind, raw, tolerance)
    members = MemberChange()
    members.clear()
    members.add(ids_in(document.get("members")))

    def change(present: Document) -> tuple[Document, MemberChange]:
        # Whoever leaves `active` out says nothing about it: nobody is let in again by an omission.
        return {"active": present.get("active"), **document}, members

    return change


def patching(kind: ResourceType, raw: object, tolerance: Tolerance) -> Change:
    """Return the change that operations on parts make."""
    return lambda present: patched(kind, present, raw, tolerance)


async def shown(
    rows: Rows, kind: ResourceType, found: Sequence[Provisioned[Any]], view: View, base_url: str
) -> list[Document]:
    """Write resources as a view shows them, with groups and members only where they are asked for."""
    directory = Directory(rows.conn)
    if kind is GROUPS:
        members: dict[str, list[str]] = defaultdict(list)
        if found and view.shows("members"):
            for group_id, user_id in await directory.members_of([each.item.group_id for each in found]):
                members[group_id].append(user_id)
        return [
            view.of(group_document(one.item, one.document, members[one.item.group_id], base_url))
            for one in found
        ]
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    if found and view.shows("groups"):
        for one in await directory.groups_of([each.item.user_id for each in found]):
            groups[one.user_id].append((one.group_id, one.name))
    return [
        view.of(user_document(one.item, one.document, groups[one.item.user_id], base_url)) for one in found
    ]


def unknown(kind: str, id_: str) -> Missing:
    """Build the answer about what no directory has provisioned."""
    message = f"No {kind} `{id_[:100]}` was provisioned in this tenant; search for it by a filter."
    return Missing("SCIM_RESOURCE_UNKNOWN", message, path="resource_id")


def names_of(paths: Iterable[str]) -> list[str]:
    """Return the paths that a comma-separated parameter names, however it was split."""
    return [part.strip() for path in paths for part in path.split(",") if part.strip()]


__all__ = ["Change", "Provisioning", "names_of", "patching", "replacing", "shown", "unknown"]
