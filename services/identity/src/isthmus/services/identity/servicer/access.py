"""The RPCs of `AccessService`."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from isthmus.identity.v1 import access_pb2 as pb
from isthmus.identity.v1 import access_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.services.identity.domain import Group, Role, check_grant, check_within
from isthmus.services.identity.messages import group_message, member_message, role_message
from isthmus.services.identity.servicer import checks
from isthmus.services.identity.store import Groups, Roles, Rows, Store
from isthmus.services.identity.tells import Tells


class AccessServicer(pb_grpc.AccessServiceServicer):
    """Keeps groups, and roles of a tenant's own."""

    def __init__(self, store: Store, events: Tells, clock: Clock) -> None:
        self._store = store
        self._events = events
        self._clock = clock

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: Any) -> pb.CreateGroupResponse:
        """Make a group."""
        checks.new_group(request)
        caller = current_principal()

        async def produce() -> pb.CreateGroupResponse:
            now = self._clock.now()
            group = Group(
                tenant_id=caller.tenant_id,
                group_id=new_id("grp"),
                name=request.name,
                description=request.description,
                external_id=request.external_id,
                roles=tuple(dict.fromkeys(request.roles)),
                created_by=caller.subject,
                create_time=now,
                update_time=now,
            )
            await Groups(rows.conn).add(group)
            await self._events.group(rows.conn, "created", group, caller.subject)
            return pb.CreateGroupResponse(group=group_message(group))

        async with self._own() as rows:
            await grant(rows, request.roles)
            return await once(rows.conn, "CreateGroup", request, produce, pb.CreateGroupResponse)

    async def GetGroup(self, request: pb.GetGroupRequest, context: Any) -> pb.GetGroupResponse:
        """Read a group."""
        async with self._own() as rows:
            return pb.GetGroupResponse(group=group_message(await Groups(rows.conn).get(request.group_id)))

    async def ListGroups(self, request: pb.ListGroupsRequest, context: Any) -> pb.ListGroupsResponse:
        """List groups."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await Groups(rows.conn).page(page, request.group_name)
        shown = Page.of(found, page, lambda row: {"id": row.group_id})
        return pb.ListGroupsResponse(groups=map(group_message, shown.items), next_page_token=shown.next_token)

    async def UpdateGroup(self, request: pb.UpdateGroupRequest, context: Any) -> pb.UpdateGroupResponse:
        """Replace what may change of a group."""
        checks.changed_group(request)
        async with self._own() as rows:
            groups = Groups(rows.conn)
            group = await groups.get(request.group_id, lock=True)
            check_etag(request.etag, group.revision)
            tell(before=group_message(group))
            await grant(rows, {*request.roles} - {*group.roles})
            changed = replace(
                group,
                description=request.description,
                external_id=request.external_id,
                roles=tuple(dict.fromkeys(request.roles)),
                update_time=self._clock.now(),
            )
            stored = await groups.save(changed)
            await self._events.group(rows.conn, "updated", stored, current_principal().subject)
        return pb.UpdateGroupResponse(group=group_message(stored))

    async def DeleteGroup(self, request: pb.DeleteGroupRequest, context: Any) -> pb.DeleteGroupResponse:
        """Delete a group."""
        async with self._own() as rows:
            groups = Groups(rows.conn)
            group = await groups.find(request.group_id, lock=True)
            if group is not None:
                check_etag(request.etag, group.revision)
                tell(before=group_message(group))
                await groups.remove(group)
                await self._events.group(rows.conn, "deleted", group, current_principal().subject)
        return pb.DeleteGroupResponse()

    async def AddGroupMembers(
        self, request: pb.AddGroupMembersRequest, context: Any
    ) -> pb.AddGroupMembersResponse:
        """Put somebody into a group."""
        members = checks.members(request)
        async with self._own() as rows:
            groups = Groups(rows.conn)
            group = await groups.get(request.group_id, lock=True)
            await grant(rows, group.roles)
            added = await groups.put_in(group, members)
            if added:
                subject = current_principal().subject
                await self._events.group(rows.conn, "members_changed", group, subject, added=added)
        return pb.AddGroupMembersResponse(added_count=len(added))

    async def RemoveGroupMembers(
        self, request: pb.RemoveGroupMembersRequest, context: Any
    ) -> pb.RemoveGroupMembersResponse:
        """Take somebody out of a group."""
        members = checks.members(request)
        async with self._own() as rows:
            groups = Groups(rows.conn)
            group = await groups.get(request.group_id, lock=True)
            removed = await groups.take_out(group, members)
            if removed:
                subject = current_principal().subject
                await self._events.group(rows.conn, "members_changed", group, subject, removed=removed)
        return pb.RemoveGroupMembersResponse(removed_count=len(removed))

    async def ListGroupMembers(
        self, request: pb.ListGroupMembersRequest, context: Any
    ) -> pb.ListGroupMembersResponse:
        """List who is in a group."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            groups = Groups(rows.conn)
            found = await groups.members(await groups.get(request.group_id), page)
        shown = Page.of(found, page, lambda member: {"id": member})
        return pb.ListGroupMembersResponse(
            members=map(member_message, shown.items), next_page_token=shown.next_token
        )

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Any) -> pb.CreateRoleResponse:
        """Make a role of the tenant's own."""
        checks.new_role(request)
        caller = current_principal()
        check_within(request.permissions, caller.may, f"You cannot make the role `{request.name}`")
        role = Role(request.name, request.description, tuple(dict.fromkeys(request.permissions)), revision=1)

        async def produce() -> pb.CreateRoleResponse:
            await Roles(rows.conn).add(caller.tenant_id, role, caller.subject, self._clock.now())
            await self._events.role(rows.conn, caller.tenant_id, "created", role, caller.subject)
            return pb.CreateRoleResponse(role=role_message(role))

        async with self._own() as rows:
            return await once(rows.conn, "CreateRole", request, produce, pb.CreateRoleResponse)

    async def UpdateRole(self, request: pb.UpdateRoleRequest, context: Any) -> pb.UpdateRoleResponse:
        """Replace what may change of a role."""
        checks.changed_role(request)
        caller = current_principal()
        async with self._own() as rows:
            roles = Roles(rows.conn)
            role = await roles.get(request.role)
            check_etag(request.etag, role.revision)
            tell(before=role_message(role))
            added = {*request.permissions} - {*role.permissions}
            check_within(added, caller.may, f"You cannot change the role `{role.role}`")
            permissions = tuple(dict.fromkeys(request.permissions))
            changed = replace(role, description=request.description, permissions=permissions)
            stored = await roles.save(caller.tenant_id, changed, self._clock.now())
            await self._events.role(rows.conn, caller.tenant_id, "updated", stored, caller.subject)
        return pb.UpdateRoleResponse(role=role_message(stored))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Any) -> pb.DeleteRoleResponse:
        """Delete a role of the tenant's own."""
        caller = current_principal()
        async with self._own() as rows:
            roles = Roles(rows.conn)
            role = await roles.find(request.role)
            if role is not None:
                check_etag(request.etag, role.revision)
                tell(before=role_message(role))
                await roles.remove(caller.tenant_id, role.role)
                await self._events.role(rows.conn, caller.tenant_id, "deleted", role, caller.subject)
        return pb.DeleteRoleResponse()

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


async def grant(rows: Rows, names: Iterable[str]) -> None:
    """Let the caller give roles no wider than what it may do itself.

    Raises:
        Missing: `ROLE_UNKNOWN`.
        NotAllowed: `ROLE_EXCEEDS_CALLER`.
    """
    wanted = sorted({*names})
    if wanted:
        check_grant(wanted, current_principal().may, await Roles(rows.conn).named(wanted))


__all__ = ["AccessServicer", "grant"]
