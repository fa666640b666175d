"""`isthmus users`: people, and what they may do."""

import uuid
from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of, user_id
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, show_one, when
from isthmus.client.cli.password import PasswordFile, password_from
from isthmus.client.mesh import Mesh, pages
from isthmus.identity.v1 import users_pb2

_users = typer.Typer(help="People.", no_args_is_help=True)

Roles = Annotated[list[str] | None, typer.Option("--role", help="Role to give; repeatable. See `roles`.")]
User = Annotated[str, typer.Argument(help="Name or id of a user.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_users, name="users")


@_users.command("list")
def list_users(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists users.

    Example: `isthmus users list`
    """
    columns = (
        Column("USER", lambda item: item.name),
        Column("ROLES", lambda item: ", ".join(item.roles) or "-"),
        Column("DISABLED", lambda item: "yes" if item.is_disabled else "no"),
        Column("LAST LOGIN", lambda item: when(item.last_login_time)),
        Column("ID", lambda item: item.user_id),
    )
    found = pages(mesh_of(ctx).users.ListUsers, users_pb2.ListUsersRequest(), "users", limit)
    show(found, columns, output, empty="There is none.")


@_users.command("create")
def create_user(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the user logs in with.")],
    role: Roles = None,
    display_name: Annotated[str, typer.Option("--display-name", help="For people.")] = "",
    email: Annotated[str, typer.Option("--email", help="Where mail reaches the user.")] = "",
    password_file: PasswordFile = None,
    output: Output = Format.YAML,
) -> None:
    """Creates a user, with a password that is shown this once unless a file gives one.

    Example: `isthmus users create ann --role security_analyst`
    """
    request = users_pb2.CreateUserRequest(
        name=name,
        roles=role or [],
        display_name=display_name,
        email=email,
        password=password_from("Password", password_file) if password_file else "",
        request_id=str(uuid.uuid4()),
    )
    answer = mesh_of(ctx).users.CreateUser(request)
    _show_with_password(answer.user, answer.password, output)


@_users.command("show")
def show_user(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Shows one user.

    Example: `isthmus users show ann`
    """
    mesh = mesh_of(ctx)
    show_one(mesh.users.GetUser(users_pb2.GetUserRequest(user_id=user_id(mesh, user))).user, output)


@_users.command("update")
def update_user(
    ctx: typer.Context,
    user: User,
    role: Roles = None,
    display_name: Annotated[str | None, typer.Option("--display-name", help="For people.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Where mail reaches the user.")] = None,
    output: Output = Format.YAML,
) -> None:
    """Changes what is named of a user; roles are replaced together.

    Example: `isthmus users update ann --role security_analyst --role auditor`
    """
    changes = {"roles": role, "display_name": display_name, "email": email}
    named = {name: value for name, value in changes.items() if value is not None}
    _update(mesh_of(ctx), user, output, **named)


@_users.command("reset-password")
def reset_password(
    ctx: typer.Context, user: User, password_file: PasswordFile = None, output: Output = Format.YAML
) -> None:
    """Gives a user another password and ends all sessions; the user has to change it at the next login.

    Example: `isthmus users reset-password ann`
    """
    mesh = mesh_of(ctx)
    request = users_pb2.ResetPasswordRequest(
        user_id=user_id(mesh, user),
        password=password_from("Password", password_file) if password_file else "",
    )
    answer = mesh.users.ResetPassword(request)
    _show_with_password(answer.user, answer.password, output)


@_users.command("deactivate")
def deactivate_user(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Shuts a user out and ends all sessions.

    Example: `isthmus users deactivate ann`
    """
    _update(mesh_of(ctx), user, output, is_disabled=True)


@_users.command("activate")
def activate_user(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Lets a user in again.

    Example: `isthmus users activate ann`
    """
    _update(mesh_of(ctx), user, output, is_disabled=False)


@_users.command("delete")
def delete_user(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Deletes a user with all sessions.

    Example: `isthmus users delete ann`
    """
    mesh = mesh_of(ctx)
    id_ = user_id(mesh, user)
    mesh.users.DeleteUser(users_pb2.DeleteUserRequest(user_id=id_))
    emit({"user_id": id_, "deleted": True}, output)


@_users.command("reset-second-factor")
def reset_second_factor(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Removes the second factor of a user who has lost it, and ends all sessions.

    Example: `isthmus users reset-second-factor ann`
    """
    mesh = mesh_of(ctx)
    request = users_pb2.ResetSecondFactorRequest(user_id=user_id(mesh, user))
    show_one(mesh.users.ResetSecondFactor(request).user, output)


def _update(mesh: Mesh, user: str, output: Format, **changes: object) -> None:
    found = mesh.users.GetUser(users_pb2.GetUserRequest(user_id=user_id(mesh, user))).user
    names = ("user_id", "display_name", "email", "external_id", "roles", "is_disabled", "etag")
    request = {name: getattr(found, name) for name in names} | changes
    show_one(mesh.users.UpdateUser(users_pb2.UpdateUserRequest(**request)).user, output)


def _show_with_password(user: users_pb2.User, password: str, output: Format) -> None:
    shown = {"password": password} if password else {}
    emit({**as_dict(user, output), **shown}, output)
    if password:
        note("Hand the password over: it is not shown again, and has to be changed at the first login.")
