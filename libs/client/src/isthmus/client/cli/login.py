"""`isthmus login`, `logout` and `passwd`: how people come in, and leave."""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from isthmus.client.browser import visit
from isthmus.client.cli.context import gateway_of, home_of, mesh_of
from isthmus.client.cli.output import Format, Output, emit, note, show_one, when
from isthmus.client.cli.password import PasswordFile, password_from
from isthmus.client.device import log_in_elsewhere
from isthmus.client.mesh import Mesh
from isthmus.client.problem import ExitCode, Problem, problem_from
from isthmus.client.profile import find_home
from isthmus.client.session import SessionFile
from isthmus.identity.v1 import devices_pb2, providers_pb2, sessions_pb2
from typer.core import TyperGroup

_ENVIRONMENT = "ISTHMUS_PASSWORD"

Code = Annotated[str, typer.Argument(help="The code that the other machine shows.")]


class _LoginGroup(TyperGroup):
    """Takes `isthmus login ann` for `isthmus login as ann`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the usual command in where none is named."""
        if not args or args[0] not in {*self.commands, "--help", "-h"}:
            args = ["as", *args]
        return super().parse_args(ctx, args)


_login = typer.Typer(
    cls=_LoginGroup, help="Lets you in; `isthmus login ann` is short for `isthmus login as ann`."
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.add_typer(_login, name="login")
    app.command("logout")(logout)
    app.command("passwd")(passwd)


@_login.command("as")
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
    device: Annotated[
        bool, typer.Option("--device", help="Confirm a code on another machine, also with --provider.")
    ] = False,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="With --provider: the browser may be on any machine.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Lets you in; commands after it are yours until `isthmus logout`.

    The password is asked for, or comes from a file or from `$ISTHMUS_PASSWORD`; a code is asked for when
    it is needed. Without a user, or with --device, a code is shown instead, which you confirm where you have
    logged in (`isthmus login approve CODE`), or at the provider.

    Example: `isthmus login acme/ann`
    """
    mesh = mesh_of(ctx)
    tenant = user.partition("/")[0] if "/" in user else ""
    if device or not (user or provider):
        _enter(ctx, mesh, log_in_elsewhere(mesh, note, tenant=tenant, provider=provider), output)
        return
    if provider and gateway:
        _enter(ctx, mesh, _by_gateway(mesh, tenant, provider), output)
        return
    if provider:
        _enter(ctx, mesh, _by_provider(mesh, tenant, provider), output)
        return
    request = sessions_pb2.LoginRequest(
        code=code,
        user_name=user,
        password=password_from("Password", password_file, _ENVIRONMENT),
        new_password=password_from("New password", new_password_file) if new_password_file else "",
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
        password=password_from("Present password", password_file, _ENVIRONMENT),
        new_password=password_from("New password", new_password_file),
    )
    mesh_of(ctx).sessions.ChangePassword(request)
    emit({"changed": True}, output)


@_login.command("approve")
def approve(ctx: typer.Context, code: Code, output: Output = Format.YAML) -> None:
    """Lets the machine that shows a code in as you.

    Look first whether it is yours: whoever shows the code works in your name afterwards.

    Example: `isthmus login approve WDJB-MJHT`
    """
    _decide(ctx, code, output, is_approved=True)


@_login.command("deny")
def deny(ctx: typer.Context, code: Code, output: Output = Format.YAML) -> None:
    """Denies the machine that shows a code to come in.

    Example: `isthmus login deny WDJB-MJHT`
    """
    _decide(ctx, code, output, is_approved=False)


def _decide(ctx: typer.Context, code: str, output: Format, *, is_approved: bool) -> None:
    mesh = mesh_of(ctx)
    if is_approved and sys.stdin.isatty():
        shown = mesh.devices.GetDeviceLogin(devices_pb2.GetDeviceLoginRequest(user_code=code)).device_login
        where = f"{shown.client_name} at {shown.client_address}, since {when(shown.create_time)}"
        typer.confirm(f"Let {where} in as you?", abort=True, err=True)
    request = devices_pb2.DecideDeviceLoginRequest(user_code=code, is_approved=is_approved)
    show_one(mesh.devices.DecideDeviceLogin(request).device_login, output)
    note("It is let in." if is_approved else "It stays outside.")


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


def _by_gateway(mesh: Mesh, tenant: str, provider: str) -> providers_pb2.CompleteLoginResponse:
    """Logs in by a provider in a browser that comes back to the gateway, and shows a code there."""
    door = mesh.provider_door
    request = providers_pb2.BeginLoginRequest(
        tenant_name=tenant, provider_name=provider, redirect_uri=f"{gateway_of(mesh)}/login/callback"
    )
    begun = door.BeginLogin(request, timeout=60)
    note(f"Open this in a browser: {begun.authorization_url}")
    code = typer.prompt("Code that the browser shows", err=True)
    completing = providers_pb2.CompleteLoginRequest(login_state=begun.login_state, code=code)
    return door.CompleteLogin(completing, timeout=60)


def _enter(
    ctx: typer.Context,
    mesh: Mesh,
    answer: sessions_pb2.LoginResponse
    | providers_pb2.CompleteLoginResponse
    | devices_pb2.CompleteDeviceLoginResponse,
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


def _file(ctx: typer.Context) -> SessionFile:
    return SessionFile(find_home(home_of(ctx)))
