"""`isthmus support`: access to a tenant for a while, asked for, granted and used."""

import sys
import uuid
from datetime import timedelta
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, note, show, show_one, when, word
from isthmus.client.mesh import pages
from isthmus.identity.v1 import support_pb2

_group = typer.Typer(help="Access to a tenant for a while.", no_args_is_help=True)

Access = Annotated[str, typer.Argument(help="Id of an access.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="support")


@_group.command("request")
def request_access(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; who decides reads it.")],
    tenant: Annotated[str, typer.Argument(help="Name of the tenant to open; your own when not given.")] = "",
    minutes: Annotated[float, typer.Option("--minutes", help="How long, from when it is granted.")] = 60,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="Role there; support_viewer when not given; repeatable."),
    ] = None,
    output: Output = Format.YAML,
) -> None:
    """Asks a tenant for access, or your own tenant for roles that you do not have all the time.

    Example: `isthmus support request --reason "flow evidence stands still" --minutes 30`
    """
    duration = Duration()
    duration.FromTimedelta(timedelta(minutes=minutes))
    asked: dict[str, Any] = {
        "reason": reason,
        "duration": duration,
        "roles": role or [],
        "request_id": str(uuid.uuid4()),
    }
    stub = mesh_of(ctx).support
    if tenant:
        request = support_pb2.RequestSupportAccessRequest(tenant_name=tenant, **asked)
        found = stub.RequestSupportAccess(request).support_access
    else:
        found = stub.RequestOwnAccess(support_pb2.RequestOwnAccessRequest(**asked)).support_access
    show_one(found, output)
    note(f"Somebody of {found.tenant_name} decides: isthmus support approve {found.support_access_id}")


@_group.command("list")
def list_accesses(
    ctx: typer.Context,
    mine: Annotated[
        bool, typer.Option("--mine", help="What you have asked for, in whatever tenant.")
    ] = False,
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists accesses to your tenant, or yours to any, newest first.

    Example: `isthmus support list`
    """
    columns = (
        Column("ASKED", lambda item: when(item.create_time)),
        Column("STATE", lambda item: word(support_pb2.SupportAccess.State.Name(item.state), "STATE_")),
        Column("WHO", lambda item: f"{item.requester_tenant_name}/{item.requester_name}"),
        Column("TENANT", lambda item: item.tenant_name),
        Column("ROLES", lambda item: ", ".join(item.roles)),
        Column("UNTIL", lambda item: when(item.expire_time)),
        Column("ID", lambda item: item.support_access_id),
        Column("REASON", lambda item: item.reason, wide=True),
    )
    stub = mesh_of(ctx).support
    if mine:
        request = support_pb2.ListMySupportAccessesRequest()
        found = pages(stub.ListMySupportAccesses, request, "support_accesses", limit)
    else:
        own = support_pb2.ListSupportAccessesRequest()
        found = pages(stub.ListSupportAccesses, own, "support_accesses", limit)
    show(found, columns, output, empty="There is none.")


@_group.command("approve")
def approve(ctx: typer.Context, access: Access, output: Output = Format.YAML) -> None:
    """Grants an access to your tenant; it begins now and ends by itself.

    Example: `isthmus support approve sup_01j9`
    """
    request = support_pb2.ApproveSupportAccessRequest(support_access_id=access)
    show_one(mesh_of(ctx).support.ApproveSupportAccess(request).support_access, output)


@_group.command("refuse")
def refuse(
    ctx: typer.Context,
    access: Access,
    reason: Annotated[str, typer.Option("--reason", help="What to tell who has asked.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Refuses an access to your tenant.

    Example: `isthmus support refuse sup_01j9 --reason "call us first"`
    """
    request = support_pb2.RefuseSupportAccessRequest(support_access_id=access, reason=reason)
    show_one(mesh_of(ctx).support.RefuseSupportAccess(request).support_access, output)


@_group.command("revoke")
def revoke(ctx: typer.Context, access: Access, output: Output = Format.YAML) -> None:
    """Ends an access to your tenant within a second.

    Example: `isthmus support revoke sup_01j9`
    """
    request = support_pb2.RevokeSupportAccessRequest(support_access_id=access)
    show_one(mesh_of(ctx).support.RevokeSupportAccess(request).support_access, output)


@_group.command("token")
def token(ctx: typer.Context, access: Access, output: Output = Format.TABLE) -> None:
    """Gives the token that lets you into the tenant which has granted you an access.

    It lives minutes; ask for another one while the access lasts. Commands with it in the environment are
    that tenant's: `ISTHMUS_API_KEY=$(isthmus support token sup_01j9) isthmus flows list`.

    Example: `isthmus support token sup_01j9`
    """
    request = support_pb2.OpenSupportAccessRequest(support_access_id=access)
    answer = mesh_of(ctx).support.OpenSupportAccess(request)
    if output is Format.TABLE:
        sys.stdout.write(f"{answer.access_token}\n")
    else:
        emit({"access_token": answer.access_token, "expires_in": answer.expires_in}, output)
