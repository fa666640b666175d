"""Users and groups that a directory has provisioned; others are not seen here."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from isthmus.resilience.faults import AlreadyExists
from isthmus.services.identity.domain import Group, User
from isthmus.services.identity.domain.scim import (
    DIALECTS,
    GROUPS,
    STRICT,
    AttributePath,
    Document,
    Filter,
    MemberChange,
    ResourceType,
    Tolerance,
)
from isthmus.services.identity.store.access import group_of
from isthmus.services.identity.store.people import user_of
from isthmus.services.identity.store.scim_filters import Conditions
from isthmus.services.identity.store.statements import Statements

T = TypeVar("T", User, Group)


@dataclass(frozen=True, slots=True)
class Provisioned(Generic[T]):
    """A user or a group, and what the directory says of it.

    Attributes:
        item: What it is here.
        document: As SCIM writes it, without what is kept elsewhere.
    """

    item: T
    document: Document


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and which page of it."""

    item: Filter | None
    sort_by: AttributePath | None
    is_descending: bool
    skip: int
    limit: int


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user is in a group."""

    group_id: str
    user_id: str
    name: str


class Directory(Statements):
    """The provisioned users and groups that one transaction sees."""

    async def user(self, user_id: str, *, lock: bool = False) -> Provisioned[User] | None:
        """Return a user or None; `lock` keeps others from changing it meanwhile."""
        sql = "select * from users where user_id = :u and scim is not null" + (" for update" if lock else "")
        rows = await self._all(sql, u=user_id)
        return _user(rows[0]) if rows else None

    async def group(self, group_id: str, *, lock: bool = False) -> Provisioned[Group] | None:
        """Return a group or None; `lock` keeps others from changing it meanwhile."""
        sql = "select * from groups where group_id = :g and scim is not null" + (
            " for update" if lock else ""
        )
        rows = await self._all(sql, g=group_id)
        return _group(rows[0]) if rows else None

    async def awaited(self, external_ids: Collection[str]) -> User | None:
        """Return the user whom a directory calls so and no provider has let in yet, if there is just one.

        Nobody else changes it until the transaction ends.
        """
        sql = """select * from users where scim ->> 'externalId' = any(:ids) and scim is not null
            and external_id = '' and password_hash is null order by user_id limit 2 for update"""
        rows = await self._all(sql, ids=list(external_ids))
        return user_of(rows[0]) if len(rows) == 1 else None

    async def save_user(self, user: User, document: Document) -> User:
        """Replace what a directory may change of a user and return it with its next revision.

        Raises:
            AlreadyExists: `USER_NAME_TAKEN`.
        """
        changed = replace(user, revision=user.revision + 1)
        sql = """update users set name = :name, display_name = :display_name, email = :email,
                is_disabled = :disabled, scim = cast(:scim as jsonb), update_time = :now, revision = :revision
            where tenant_id = :t and user_id = :u
            and not exists (select from users where name = :name and user_id <> :u) returning 1"""
        values = {"name": changed.name, "display_name": changed.display_name, "email": changed.email}
        done = await self._all(
            sql,
            t=changed.tenant_id,
            u=changed.user_id,
            disabled=changed.is_disabled,
            scim=json.dumps(document),
            now=changed.update_time,
            revision=changed.revision,
            **values,
        )
        if not done:
            message = f"There is a user `{user.name}` already; choose another name."
            raise AlreadyExists("USER_NAME_TAKEN", message, path="name")
        return changed

    async def save_group(self, group: Group, document: Document) -> Group:
        """Replace what a directory may change of a group and return it with its next revision.

        Raises:
            AlreadyExists: `GROUP_NAME_TAKEN`.
        """
        changed = replace(group, revision=group.revision + 1)
        sql = """update groups set name = :name, scim = cast(:scim as jsonb), update_time = :now,
                revision = :revision
            where tenant_id = :t and group_id = :g
            and not exists (select from groups where name = :name and group_id <> :g) returning 1"""
        done = await self._all(
            sql,
            t=changed.tenant_id,
            g=changed.group_id,
            name=changed.name,
            scim=json.dumps(document),
            now=changed.update_time,
            revision=changed.revision,
        )
        if not done:
            message = f"There is a group `{group.name}` already; choose another name."
            raise AlreadyExists("GROUP_NAME_TAKEN", message, path="name")
        return changed

    async def search(
        self, kind: ResourceType, search: Search, tolerance: Tolerance
    ) -> tuple[int, list[Provisioned[Any]]]:
        """Return how many there are and one page of them, oldest first unless they are sorted."""
        table, id_ = ("groups", "group_id") if kind is GROUPS else ("users", "user_id")
        conditions = Conditions(kind, tolerance)
        wanted = f"r.scim is not null{f' and {conditions.of(search.item)}' if search.item else ''}"
        order = f"r.{id_}"
        if search.sort_by is not None:
            way = "desc" if search.is_descending else "asc"
            order = f"{conditions.order(search.sort_by)} {way} nulls last, {order}"
        counted = await self._all(f"select count(*) as n from {table} r where {wanted}", **conditions.values)
        total = int(counted[0]["n"])
        if not search.limit or search.skip >= total:
            return total, []
        sql = f"select r.* from {table} r where {wanted} order by {order} offset :skip limit :most"
        rows = await self._all(sql, skip=search.skip, most=search.limit, **conditions.values)
        read: Any = _group if kind is GROUPS else _user
        return total, [read(row) for row in rows]

    async def groups_of(self, user_ids: Collection[str]) -> list[Membership]:
        """Return in which provisioned groups users are."""
        sql = """select g.group_id, substr(m.member, 6) as user_id, g.name
            from group_members m join groups g using (tenant_id, group_id)
            where m.member = any(:members) and g.scim is not null order by g.name"""
        rows = await self._all(sql, members=[f"user:{one}" for one in user_ids])
        return [Membership(**row) for row in rows]

    async def members_of(self, group_ids: Collection[str]) -> list[tuple[str, str]]:
        """Return which provisioned users are in groups: pairs of a group's and a user's id."""
        sql = """select m.group_id, u.user_id
            from group_members m join users u on u.tenant_id = m.tenant_id and m.member = 'user:' || u.user_id
            where m.group_id = any(:groups) and u.scim is not null order by u.user_id"""
        return [(row["group_id"], row["user_id"]) for row in await self._all(sql, groups=list(group_ids))]

    async def known(self, user_ids: Collection[str]) -> set[str]:
        """Return those ids that are ids of provisioned users."""
        sql = "select user_id from users where user_id = any(:ids) and scim is not null"
        return {row["user_id"] for row in await self._all(sql, ids=list(user_ids))}

    async def change_members(self, group: Group, change: MemberChange) -> tuple[list[str], list[str]]:
        """Let provisioned users in and out; return the subjects of who came and who went.

        Members whom no directory has provisioned stay, whatever it says.
        """
        put = [f"user:{one}" for one in change.put]
        out = [f"user:{one}" for one in change.out]
        gone = f"""delete from group_members m using users u where m.tenant_id = :t and m.group_id = :g
            and u.tenant_id = m.tenant_id and m.member = 'user:' || u.user_id and u.scim is not null
            and {"m.member <> all(:put)" if change.is_reset else "m.member = any(:out)"} returning m.member"""
        names = {"t": group.tenant_id, "g": group.group_id}
        given = {"put": put} if change.is_reset else {"out": out}
        removed = await self._all(gone, **names, **given) if change.is_reset or out else []
        come = """insert into group_members (tenant_id, group_id, member)
            select :t, :g, unnest(cast(:put as text[])) on conflict do nothing returning member"""
        added = await self._all(come, **names, put=put) if put else []
        return [row["member"] for row in added], [row["member"] for row in removed]

    async def tolerance(self, subject: str) -> Tolerance:
        """Return what is put up with from a caller."""
        sql = """select dialect from scim_dialects where service_account_id in ('', :a)
            order by service_account_id desc limit 1"""
        rows = await self._all(sql, a=subject.partition(":")[2])
        return DIALECTS.get(rows[0]["dialect"], STRICT) if rows else STRICT

    async def dialects(self) -> list[tuple[str, str]]:
        """Return what is put up with from whom: the rule for everybody first."""
        sql = """select d.service_account_id, d.dialect from scim_dialects d
            where d.service_account_id = '' or exists (select from service_accounts a
                where a.tenant_id = d.tenant_id and a.service_account_id = d.service_account_id)
            order by d.service_account_id"""
        return [(row["service_account_id"], row["dialect"]) for row in await self._all(sql)]

    async def set_dialect(self, tenant_id: str, account_id: str, dialect: str) -> None:
        """Say what is put up with from an account, or from everybody without a rule of its own."""
        sql = """insert into scim_dialects (tenant_id, service_account_id, dialect) values (:t, :a, :d)
            on conflict (tenant_id, service_account_id) do update set dialect = excluded.dialect"""
        await self._run(sql, t=tenant_id, a=account_id, d=dialect)


def _user(row: Mapping[str, Any]) -> Provisioned[User]:
    return Provisioned(user_of(row), _document(row["scim"]))


def _group(row: Mapping[str, Any]) -> Provisioned[Group]:
    return Provisioned(group_of(row), _document(row["scim"]))


def _document(value: Any) -> Document:
    return dict(json.loads(value) if isinstance(value, str | bytes) else value)


__all__ = ["Directory", "Membership", "Provisioned", "Search"]
