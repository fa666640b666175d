"""`isthmus sessions` and `totp`: who is in, and the second factor."""

from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, note, show, show_one, when, word
from isthmus.client.mesh import pages
from isthmus.identity.v1 import sessions_pb2

_totp = typer.Typer(help="Your authenticator, as second factor.", no_args_is_help=True)
_sessions = typer.Typer(help="Who is in at the moment.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the groups to the command line."""
    app.add_typer(_sessions, name="sessions")
    app.add_typer(_totp, name="totp")


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


def _why(session: sessions_pb2.Session) -> str:
    reason = sessions_pb2.Session.EndReason.Name(session.end_reason)
    return "-" if not session.end_reason else word(reason, "END_REASON_")
