"""`isthmus login`, `logout`, `passwd`, `users` and `sessions`: people, and how they come in."""

import getpass
import os
import sys
import uuid
from pathlib import Path
from typing import Annotated

import grpc
import typer
from isthmus.client.browser import visit
from isthmus.client.cli.context import home_of, mesh_of, user_id
from isthmus.client.cli.output import (
    Column,
    Format,
    Limit,
    Output,
    as_dict,
    emit,
    note,
    show,
    show_one,
    when,
    word,
)
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem, problem_from
from isthmus.client.profile import find_home
from isthmus.client.session import SessionFile
from isthmus.identity.v1 import providers_pb2, sessions_pb2, users_pb2

_users = typer.Typer(help="People.", no_args_is_help=True)
_totp = typer.Typer(help="Your authenticator, as second factor.", no_args_is_help=True)
_sessions = typer.Typer(help="Who is in at the moment.", no_args_is_help=True)
_ENVIRONMENT = "ISTHMUS_PASSWORD"

PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File with the password, instead of asking for it.")
]
Roles = Annotated[list[str] | None, typer.Option("--role", help="Role to give; repeatable. See `roles`.")]
User = Annotated[str, typer.Argument(help="Name or id of a user.")]


def register(app: typer.Typer) -> None:
    """Adds the commands and the groups to the command line."""
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("passwd")(passwd)
    app.add_typer(_users, name="users")
    app.add_typer(_sessions, name="sessions")
    app.add_typer(_totp, name="totp")


def login(
    ctx: typer.Context,
    user: Annotated[
        str, typer.Argument(help="Name of the user, or tenant/user; tenant/ with --provider.")
    ] = "",
    password_file: PasswordFile = None,
    new_password_file: Annotated[
        Path | None, typer.Option("--new-password-file", help="File with another password to take.")
    ] = None,
    code: Annotated[str, typer.Option("--code", help="Code of your authenticator, or a recovery code.")] = "",
    provider: Annotated[
        str, typer.Option("--provider", help="Log in by this provider, in the browser, without a password.")
    ] = "",
    output: Output = Format.YAML,
) -> None:
    """Lets you in; commands after it are yours until `isthmus logout`.

    The password is asked for, or comes from a file or from `$ISTHMUS_PASSWORD`; a code is asked for when
    it is needed.

    Example: `isthmus login acme/ann`
    """
    mesh = mesh_of(ctx)
    if provider:
        tenant = user.partition("/")[0]
        _enter(ctx, mesh, _by_provider(mesh, tenant, provider), output)
        return
    if not user:
        raise Problem("USER_MISSING", "Name a user, or a --provider.", exit_code=ExitCode.USAGE)
    request = sessions_pb2.LoginRequest(
        code=code,
        user_name=user,
        password=_password("Password", password_file, _ENVIRONMENT),
        new_password=_password("New password", new_password_file) if new_password_file else "",
    )
    _enter(ctx, mesh, _through(mesh, request), output, user)


def logout(ctx: typer.Context, output: Output = Format.YAML) -> None:
    """Ends your session everywhere, at once.

    Example: `isthmus logout`
    """
    file = _file(ctx)
    session = file.read()
    if session is None:
        raise Problem("NOT_IN_SESSION", "Nobody has logged in here: nothing ends.", exit_code=ExitCode.USAGE)
    try:
        mesh_of(ctx).sessions.Logout(sessions_pb2.LogoutRequest())
    finally:
        file.forget()
    emit({"user": session.user, "ended": True}, output)


def passwd(
    ctx: typer.Context,
    password_file: PasswordFile = None,
    new_password_file: Annotated[
        Path | None, typer.Option("--new-password-file", help="File with the new password.")
    ] = None,
    output: Output = Format.YAML,
) -> None:
    """Changes your own password and ends your other sessions.

    Example: `isthmus passwd`
    """
    request = sessions_pb2.ChangePasswordRequest(
        password=_password("Present password", password_file, _ENVIRONMENT),
        new_password=_password("New password", new_password_file),
    )
    mesh_of(ctx).sessions.ChangePassword(request)
    emit({"changed": True}, output)


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
        password=_password("Password", password_file) if password_file else "",
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
        password=_password("Password", password_file) if password_file else "",
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


@_sessions.command("list")
def list_sessions(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists sessions, newest first.

    Example: `isthmus sessions list`
    """
    mesh = mesh_of(ctx)
    columns = (
        Column("BEGUN", lambda item: when(item.create_time)),
        Column("FROM", lambda item: item.client_address or "-"),
        Column("ENDED", lambda item: when(item.end_time)),
        Column("WHY", _why),
        Column("USER", lambda item: item.user_id),
        Column("ID", lambda item: item.session_id),
    )
    found = pages(mesh.sessions.ListSessions, sessions_pb2.ListSessionsRequest(), "sessions", limit)
    show(found, columns, output, empty="There is none.")


@_sessions.command("end")
def end_session(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(help="Id of a session.")],
    output: Output = Format.YAML,
) -> None:
    """Ends somebody's session within a second.

    Example: `isthmus sessions end ses_01j9`
    """
    request = sessions_pb2.EndSessionRequest(session_id=session)
    show_one(mesh_of(ctx).sessions.EndSession(request).session, output)


@_totp.command("enroll")
def enroll(ctx: typer.Context, output: Output = Format.YAML) -> None:
    """Begins to set up an authenticator; it counts after `isthmus totp confirm`.

    Example: `isthmus totp enroll`
    """
    show_one(mesh_of(ctx).sessions.EnrollTotp(sessions_pb2.EnrollTotpRequest()), output)


@_totp.command("confirm")
def confirm(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(help="What the authenticator shows.")],
    output: Output = Format.YAML,
) -> None:
    """Makes the authenticator count from the next login on, and shows recovery codes this once.

    Example: `isthmus totp confirm 123456`
    """
    show_one(mesh_of(ctx).sessions.ConfirmTotp(sessions_pb2.ConfirmTotpRequest(code=code)), output)
    note("Keep the codes: each opens the door once when the authenticator is lost.")


@_totp.command("remove")
def remove(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(help="A code of the authenticator, or a recovery code.")],
    output: Output = Format.YAML,
) -> None:
    """Does without the second factor from now on.

    Example: `isthmus totp remove 123456`
    """
    mesh_of(ctx).sessions.RemoveTotp(sessions_pb2.RemoveTotpRequest(code=code))
    emit({"removed": True}, output)


@_users.command("reset-second-factor")
def reset_second_factor(ctx: typer.Context, user: User, output: Output = Format.YAML) -> None:
    """Removes the second factor of a user who has lost it, and ends all sessions.

    Example: `isthmus users reset-second-factor ann`
    """
    mesh = mesh_of(ctx)
    request = users_pb2.ResetSecondFactorRequest(user_id=user_id(mesh, user))
    show_one(mesh.users.ResetSecondFactor(request).user, output)


def _by_provider(mesh: Mesh, tenant: str, provider: str) -> providers_pb2.CompleteLoginResponse:
    """Logs in by a provider, in the browser of whoever sits here."""
    door = mesh.provider_door

    def begin(redirect_uri: str) -> tuple[str, str]:
        request = providers_pb2.BeginLoginRequest(
            tenant_name=tenant, provider_name=provider, redirect_uri=redirect_uri
        )
        answer = door.BeginLogin(request, timeout=60)
        return answer.authorization_url, answer.login_state

    came = visit(begin, lambda address: note(f"Open this in a browser of this machine: {address}"))
    request = providers_pb2.CompleteLoginRequest(
        login_state=came["state"], code=came["code"], issuer=came.get("iss", "")
    )
    return door.CompleteLogin(request, timeout=60)


def _enter(
    ctx: typer.Context,
    mesh: Mesh,
    answer: sessions_pb2.LoginResponse | providers_pb2.CompleteLoginResponse,
    output: Format,
    user: str = "",
) -> None:
    """Keeps the session that has begun, and tells."""
    user = user or getattr(answer, "user_name", "")
    _file(ctx).begin(user, answer.access_token, answer.refresh_token, answer.expires_in)
    show_one(answer.session, output)
    note(f"You are in as {user}, until {when(answer.session.expire_time)} at the latest.")
    if mesh.profile.session is None:
        note("An API key in the environment counts before the session: unset ISTHMUS_API_KEY.")


def _through(mesh: Mesh, request: sessions_pb2.LoginRequest) -> sessions_pb2.LoginResponse:
    """Logs in, and asks a person for the code where one turns out to be needed."""
    try:
        return mesh.door.Login(request, timeout=60)
    except grpc.RpcError as error:
        if problem_from(error).reason != "SECOND_FACTOR_REQUIRED" or not sys.stdin.isatty():
            raise
    request.code = getpass.getpass("Code: ")
    return mesh.door.Login(request, timeout=60)


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


def _why(session: sessions_pb2.Session) -> str:
    reason = sessions_pb2.Session.EndReason.Name(session.end_reason)
    return "-" if not session.end_reason else word(reason, "END_REASON_")


def _file(ctx: typer.Context) -> SessionFile:
    return SessionFile(find_home(home_of(ctx)))


def _password(prompt: str, file: Path | None, variable: str = "") -> str:
    """Gets a password from a file, the environment or the terminal; never from the command line."""
    if file is not None:
        try:
            return file.read_text().rstrip("\n")
        except (OSError, ValueError) as error:
            message = f"{file} cannot be read: name a file with the password."
            raise Problem("PASSWORD_FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
    if variable and os.environ.get(variable):
        return os.environ[variable]
    if not sys.stdin.isatty():
        message = f"Nobody can be asked for the {prompt.lower()}: name a file with --password-file."
        raise Problem("PASSWORD_MISSING", message, exit_code=ExitCode.USAGE)
    return getpass.getpass(f"{prompt}: ")
