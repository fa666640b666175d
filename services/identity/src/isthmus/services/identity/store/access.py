"""Groups, roles of a tenant's own, and what they add up to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.faults import AlreadyExists, Missing, Precondition
from isthmus.services.identity.domain import Access, Group, Role, unknown_role
from isthmus.services.identity.store.statements import Statements, fields, window

_GROUP = tuple(Group.__dataclass_fields__)


def access_of(tenant: str, subject: str, own: str) -> str:
    """Return the part of a FROM clause that adds up what somebody holds.

    It adds the columns `held_roles` and `held_patterns` to each row.

    Args:
        tenant: SQL of the tenant's id.
        subject: SQL of the holder's subject.
        own: SQL of the array of roles that the holder has himself.
    """
    return f"""
        cross join lateral (
            select coalesce(array_agg(distinct name), '{{}}') as held_roles from (
                select unnest({own}) as name
                union all
                select unnest(g.roles) from group_members m join groups g using (tenant_id, group_id)
                where m.tenant_id = {tenant} and m.member = {subject}
            ) given
        ) held
        cross join lateral (
            select coalesce(array_agg(distinct p), '{{}}') as held_patterns
            from roles r, unnest(r.permissions) p
            where r.tenant_id = {tenant} and r.role = any(held_roles)
        ) added"""


def access(row: Mapping[str, Any]) -> Access:
    """Read the two columns that `access_of` adds."""
    return Access(tuple(row["held_roles"]), tuple(row["held_patterns"]))


class Groups(Statements):
    """The groups that one transaction sees."""

    async def add(self, group: Group) -> None:
        """Store a group.

        Raises:
            AlreadyExists: `GROUP_NAME_TAKEN`.
        """
        names, values = ", ".join(_GROUP), ", ".join(f":{name}" for name in _GROUP)
        sql = f"""insert into groups ({names}) values ({values})
            on conflict (tenant_id, name) do nothing returning 1"""
        if not await self._all(sql, **fields(group)):
            message = f"There is a group `{group.name}` already; choose another name."
            raise AlreadyExists("GROUP_NAME_TAKEN", message, path="name")

    async def find(self, group_id: str, *, lock: bool = False) -> Group | None:
        """Return a group or None; `lock` keeps others from changing it meanwhile."""
        sql = "select * from groups where group_id = :g" + (" for update" if lock else "")
        rows = await self._all(sql, g=group_id)
        return group_of(rows[0]) if rows else None

    async def get(self, group_id: str, *, lock: bool = False) -> Group:
        """Return a group.

        Raises:
            Missing: `GROUP_UNKNOWN`.
        """
        group = await self.find(group_id, lock=lock)
        if group is None:
            message = f"There is no group `{group_id}` in this tenant; ListGroups shows them."
            raise Missing("GROUP_UNKNOWN", message, path="group_id")
        return group

    async def page(self, page: PageRequest, name: str) -> list[Group]:
        """Return groups, oldest first, one more than the page holds; all of them when no name is given."""
        sql = """select * from groups where group_id > :after and (:name = '' or name = :name)
            order by group_id limit :limit"""
        return [group_of(row) for row in await self._all(sql, name=name, **window(page))]

    async def save(self, group: Group) -> Group:
        """Replace what may change of a group and return it with its next revision."""
        changed = replace(group, revision=group.revision + 1)
        sql = """update groups set description = :description, external_id = :external_id, roles = :roles,
            update_time = :update_time, revision = :revision
            where tenant_id = :tenant_id and group_id = :group_id"""
        await self._run(sql, **fields(changed))
        return changed

    async def remove(self, group: Group) -> None:
        """Delete a group; its members stay."""
        sql = "delete from groups where tenant_id = :t and group_id = :g"
        await self._run(sql, t=group.tenant_id, g=group.group_id)

    async def put_in(self, group: Group, members: Collection[str]) -> list[str]:
        """Add members and return those who were not in before.

        Raises:
            Missing: `MEMBER_UNKNOWN`.
        """
        sql = """select s.subject from unnest(cast(:members as text[])) as s (subject)
            where not exists (select from users where 'user:' || user_id = s.subject)
            and not exists (select from service_accounts
                where 'service_account:' || service_account_id = s.subject) limit 1"""
        for row in await self._all(sql, members=list(members)):
            id_ = row["subject"].partition(":")[2]
            message = f"There is no user or service account `{id_}` in this tenant; list them."
            raise Missing("MEMBER_UNKNOWN", message)
        sql = """insert into group_members (tenant_id, group_id, member)
            select :t, :g, unnest(cast(:members as text[])) on conflict do nothing returning member"""
        rows = await self._all(sql, t=group.tenant_id, g=group.group_id, members=list(members))
        return [row["member"] for row in rows]

    async def take_out(self, group: Group, members: Collection[str]) -> list[str]:
        """Remove members and return those who were in."""
        sql = """delete from group_members where tenant_id = :t and group_id = :g
            and member = any(:members) returning member"""
        rows = await self._all(sql, t=group.tenant_id, g=group.group_id, members=list(members))
        return [row["member"] for row in rows]

    async def members(self, group: Group, page: PageRequest) -> list[str]:
        """Return the subjects of members in order, one more than the page holds."""
        sql = """select member from group_members where tenant_id = :t and group_id = :g and member > :after
            order by member limit :limit"""
        rows = await self._all(sql, t=group.tenant_id, g=group.group_id, **window(page))
        return [row["member"] for row in rows]


class Roles(Statements):
    """The tenant's own roles that one transaction sees, and what somebody holds."""

    async def named(self, names: Iterable[str]) -> dict[str, Role]:
        """Return those of the tenant's own roles that are named."""
        rows = await self._all("select * from roles where role = any(:names)", names=list(names))
        return {row["role"]: _role(row) for row in rows}

    async def all(self) -> list[Role]:
        """Return the tenant's own roles by name."""
        return [_role(row) for row in await self._all("select * from roles order by role")]

    async def get(self, name: str) -> Role:
        """Return one of the tenant's own roles; nobody else changes it until the transaction ends.

        Raises:
            Missing: `ROLE_UNKNOWN`.
        """
        rows = await self._all("select * from roles where role = :r for update", r=name)
        if not rows:
            raise unknown_role(name)
        return _role(rows[0])

    async def find(self, name: str) -> Role | None:
        """Return one of the tenant's own roles or None; nobody else changes it until the transaction ends."""
        rows = await self._all("select * from roles where role = :r for update", r=name)
        return _role(rows[0]) if rows else None

    async def add(self, tenant_id: str, role: Role, by: str, now: datetime) -> None:
        """Store a role.

        Raises:
            AlreadyExists: `ROLE_NAME_TAKEN`.
        """
        sql = """insert into roles (tenant_id, role, description, permissions, created_by, create_time,
                update_time, revision)
            values (:t, :role, :description, :permissions, :by, :now, :now, 1)
            on conflict do nothing returning 1"""
        values = {"role": role.role, "description": role.description, "permissions": list(role.permissions)}
        if not await self._all(sql, t=tenant_id, by=by, now=now, **values):
            message = f"There is a role `{role.role}` already; choose another name."
            raise AlreadyExists("ROLE_NAME_TAKEN", message, path="name")

    async def save(self, tenant_id: str, role: Role, now: datetime) -> Role:
        """Replace what may change of a role and return it with its next revision."""
        changed = replace(role, revision=role.revision + 1)
        sql = """update roles set description = :description, permissions = :permissions, update_time = :now,
            revision = :revision where tenant_id = :t and role = :role"""
        values = {"role": role.role, "description": role.description, "permissions": list(role.permissions)}
        await self._run(sql, t=tenant_id, now=now, revision=changed.revision, **values)
        return changed

    async def remove(self, tenant_id: str, name: str) -> None:
        """Delete a role that nobody has.

        Raises:
            Precondition: `ROLE_IN_USE`.
        """
        sql = """select 'user' as kind, name from users where :r = any(roles)
            union all select 'service account', name from service_accounts where :r = any(roles)
            union all select 'group', name from groups where :r = any(roles) limit 1"""
        for row in await self._all(sql, r=name):
            message = f"The {row['kind']} `{row['name']}` has the role `{name}`; take it away first."
            raise Precondition("ROLE_IN_USE", message)
        await self._run("delete from roles where tenant_id = :t and role = :r", t=tenant_id, r=name)

    async def held(self, tenant_id: str, subject: str, own: Iterable[str]) -> Access:
        """Add up what somebody holds."""
        sql = "select held_roles, held_patterns from (select 1) one" + access_of(
            ":t", ":subject", "cast(:own as text[])"
        )
        return access((await self._all(sql, t=tenant_id, subject=subject, own=list(own)))[0])


def group_of(row: Mapping[str, Any]) -> Group:
    """Read a group out of a row that has the columns of one."""
    return Group(**{**{name: row[name] for name in _GROUP}, "roles": tuple(row["roles"])})


def _role(row: Mapping[str, Any]) -> Role:
    return Role(row["role"], row["description"], tuple(row["permissions"]), revision=row["revision"])


__all__ = ["Groups", "Roles", "access", "access_of", "group_of"]
