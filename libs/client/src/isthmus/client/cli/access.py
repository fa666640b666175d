"""`isthmus groups` and `roles`: who may do what together with whom."""

import uuid
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import account_id, group_id, mesh_of, user_id
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, show, show_one
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.identity.v1 import access_pb2, identity_pb2

_groups = typer.Typer(help="Users and service accounts that have roles together.", no_args_is_help=True)
_roles = typer.Typer(help="What holders of a role may do.", no_args_is_help=True)

Group = Annotated[str, typer.Argument(help="Name or id of a group.")]
Given = Annotated[list[str] | None, typer.Option("--role", help="Role of all members; repeatable.")]
Allowed = Annotated[
    list[str], typer.Option("--permission", help="Pattern like registry.instances.read; repeatable.")
]
Users = Annotated[list[str] | None, typer.Option("--user", help="Name or id of a user; repeatable.")]
Accounts = Annotated[
    list[str] | None, typer.Option("--service-account", help="Name or id of a service account; repeatable.")
]


def register(app: typer.Typer) -> None:
    """Adds the groups of commands to the command line."""
    app.add_typer(_groups, name="groups")
    app.add_typer(_roles, name="roles")


@_groups.command("list")
def list_groups(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists groups.

    Example: `isthmus groups list`
    """
    columns = (
        Column("GROUP", lambda item: item.name),
        Column("ROLES", lambda item: ", ".join(item.roles) or "-"),
        Column("ID", lambda item: item.group_id),
    )
    found = pages(mesh_of(ctx).access.ListGroups, access_pb2.ListGroupsRequest(), "groups", limit)
    show(found, columns, output, empty="There is none.")


@_groups.command("create")
def create_group(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Unique inside the tenant.")],
    role: Given = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Creates a group without members.

    Example: `isthmus groups create night-shift --role security_viewer`
    """
    request = access_pb2.CreateGroupRequest(
        name=name, roles=role or [], description=description, request_id=str(uuid.uuid4())
    )
    show_one(mesh_of(ctx).access.CreateGroup(request).group, output)


@_groups.command("update")
def update_group(
    ctx: typer.Context,
    group: Group,
    role: Given = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    output: Output = Format.YAML,
) -> None:
    """Changes what is named of a group; roles are replaced together.

    Example: `isthmus groups update night-shift --role security_viewer --description "From ten to six"`
    """
    mesh = mesh_of(ctx)
    found = mesh.access.GetGroup(access_pb2.GetGroupRequest(group_id=group_id(mesh, group))).group
    request = access_pb2.UpdateGroupRequest(
        group_id=found.group_id,
        description=found.description if description is None else description,
        external_id=found.external_id,
        roles=found.roles if role is None else role,
        etag=found.etag,
    )
    show_one(mesh.access.UpdateGroup(request).group, output)


@_groups.command("add")
def add_members(
    ctx: typer.Context,
    group: Group,
    user: Users = None,
    service_account: Accounts = None,
    output: Output = Format.YAML,
) -> None:
    """Puts somebody into a group.

    Example: `isthmus groups add night-shift --user ann`
    """
    mesh = mesh_of(ctx)
    request = access_pb2.AddGroupMembersRequest(**_members(mesh, group, user, service_account))
    show_one(mesh.access.AddGroupMembers(request), output)


@_groups.command("remove")
def remove_members(
    ctx: typer.Context,
    group: Group,
    user: Users = None,
    service_account: Accounts = None,
    output: Output = Format.YAML,
) -> None:
    """Takes somebody out of a group.

    Example: `isthmus groups remove night-shift --user ann`
    """
    mesh = mesh_of(ctx)
    request = access_pb2.RemoveGroupMembersRequest(**_members(mesh, group, user, service_account))
    show_one(mesh.access.RemoveGroupMembers(request), output)


@_groups.command("members")
def list_members(ctx: typer.Context, group: Group, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists who is in a group.

    Example: `isthmus groups members night-shift`
    """
    mesh = mesh_of(ctx)
    columns = (
        Column("KIND", lambda item: "user" if item.user_id else "service account"),
        Column("ID", lambda item: item.user_id or item.service_account_id),
    )
    request = access_pb2.ListGroupMembersRequest(group_id=group_id(mesh, group))
    found = pages(mesh.access.ListGroupMembers, request, "members", limit)
    show(found, columns, output, empty="There is nobody.")


@_groups.command("delete")
def delete_group(ctx: typer.Context, group: Group, output: Output = Format.YAML) -> None:
    """Deletes a group; its members stay and lose its roles.

    Example: `isthmus groups delete night-shift`
    """
    mesh = mesh_of(ctx)
    found = group_id(mesh, group)
    mesh.access.DeleteGroup(access_pb2.DeleteGroupRequest(group_id=found))
    emit({"deleted": found}, output)


@_roles.command("list")
def list_roles(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the roles that can be given, built-in ones first.

    Example: `isthmus roles list`
    """
    columns = (
        Column("ROLE", lambda item: item.role),
        Column("BUILT IN", lambda item: "yes" if item.is_built_in else "no"),
        Column("FOR", lambda item: item.description, wide=True),
    )
    found = pages(mesh_of(ctx).identity.ListRoles, identity_pb2.ListRolesRequest(), "roles", limit)
    show(found, columns, output, empty="There is none.")


@_roles.command("show")
def show_role(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="Name of a role.")],
    output: Output = Format.YAML,
) -> None:
    """Shows what a role allows.

    Example: `isthmus roles show auditor`
    """
    show_one(_role(mesh_of(ctx), role), output)


@_roles.command("create")
def create_role(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores.")],
    permission: Allowed,
    description: Annotated[str, typer.Option("--description", help="Who should have it.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Creates a role of your tenant's own out of permissions that you hold.

    Example: `isthmus roles create watchers --permission scheduling.flows.read --permission monitoring.*.read`
    """
    request = access_pb2.CreateRoleRequest(
        name=name, permissions=permission, description=description, request_id=str(uuid.uuid4())
    )
    show_one(mesh_of(ctx).access.CreateRole(request).role, output)


@_roles.command("update")
def update_role(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="Name of a role of your tenant's own.")],
    permission: Allowed,
    description: Annotated[str | None, typer.Option("--description", help="Who should have it.")] = None,
    output: Output = Format.YAML,
) -> None:
    """Changes what a role allows; permissions are replaced together.

    Example: `isthmus roles update watchers --permission scheduling.flows.read`
    """
    mesh = mesh_of(ctx)
    found = _role(mesh, role)
    request = access_pb2.UpdateRoleRequest(
        role=role,
        permissions=permission,
        description=found.description if description is None else description,
        etag=found.etag,
    )
    show_one(mesh.access.UpdateRole(request).role, output)


@_roles.command("delete")
def delete_role(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="Name of a role of your tenant's own.")],
    output: Output = Format.YAML,
) -> None:
    """Deletes a role that nobody has any more.

    Example: `isthmus roles delete watchers`
    """
    mesh_of(ctx).access.DeleteRole(access_pb2.DeleteRoleRequest(role=role))
    emit({"deleted": role}, output)


def _members(mesh: Mesh, group: str, users: list[str] | None, accounts: list[str] | None) -> dict[str, Any]:
    return {
        "group_id": group_id(mesh, group),
        "user_ids": [user_id(mesh, user) for user in users or []],
        "service_account_ids": [account_id(mesh, account) for account in accounts or []],
    }


def _role(mesh: Mesh, name: str) -> identity_pb2.Role:
    role: identity_pb2.Role
    for role in pages(mesh.identity.ListRoles, identity_pb2.ListRolesRequest(), "roles"):
        if role.role == name:
            return role
    message = f"No role is called {name}: `isthmus roles list` shows what there is."
    raise Problem("ROLE_UNKNOWN", message, exit_code=ExitCode.USAGE)
