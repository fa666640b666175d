"""`isthmus links`: which record is which in a system that gives ids of its own."""

from typing import Annotated

import typer
from isthmus.client.cli.context import flow_id, flow_names, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, show, when, word
from isthmus.client.mesh import pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.records.v1 import links_pb2


def _state(link: links_pb2.Link) -> str:
    if link.state == links_pb2.Link.STATE_OPEN and link.is_in_doubt:
        return "in doubt"
    return word(links_pb2.Link.State.Name(link.state), "STATE_")


_group = typer.Typer(
    help="Ids of a flow's records in a destination without transactions.", no_args_is_help=True
)
_COLUMNS = (
    Column("KEY", lambda item: item.key),
    Column("EXTERNAL ID", lambda item: item.external_id),
    Column("STATE", _state),
    Column("CHANGED", lambda item: when(item.update_time)),
    Column("CORRELATION ID", lambda item: item.correlation_id, wide=True),
)
Flow = Annotated[str, typer.Argument(help="The flow, by name or id.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="links")


@_group.command("list")
def list_links(
    ctx: typer.Context,
    flow: Flow,
    in_doubt: Annotated[
        bool, typer.Option("--in-doubt", help="Only records of which nobody knows whether they arrived.")
    ] = False,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists what the destination of a flow holds, and under which ids.

    Example: `isthmus links list postgres-settings --in-doubt --output json`
    """
    mesh = mesh_of(ctx)
    request = links_pb2.ListLinksRequest(flow_id=flow_id(mesh, flow), only_in_doubt=in_doubt)
    found = pages(mesh.links.ListLinks, request, "links", limit)
    show(found, _COLUMNS, output, empty="No link is in doubt." if in_doubt else "The flow has no links.")


@_group.command("flows")
def list_flows(
    ctx: typer.Context,
    orphaned: Annotated[bool, typer.Option("--orphaned", help="Only those of deleted flows.")] = False,
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists whose links there are; those of a deleted flow stay for a year, or until they are forgotten.

    Example: `isthmus links flows --orphaned`
    """
    mesh = mesh_of(ctx)
    names = flow_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("FLOW", lambda item: item.flow_name or names.get(item.flow_id, "")),
        Column("LINKS", lambda item: f"{item.links:,}"),
        Column("IN DOUBT", lambda item: f"{item.in_doubt:,}"),
        Column("DELETED", lambda item: when(item.delete_time)),
        Column("ID", lambda item: item.flow_id),
    )
    request = links_pb2.ListLinkFlowsRequest(only_orphaned=orphaned)
    found = pages(mesh.links.ListLinkFlows, request, "flows", limit)
    show(found, columns, output, empty="No flow has links.")


@_group.command("show")
def show_link(
    ctx: typer.Context,
    flow: Flow,
    key: Annotated[str, typer.Argument(help="Key of the record.")],
    output: Output = Format.YAML,
) -> None:
    """Shows the link of one record.

    Example: `isthmus links show tickets alert_01j9 --output json`
    """
    mesh = mesh_of(ctx)
    request = links_pb2.GetLinkRequest(flow_id=flow_id(mesh, flow), key=key)
    form = Format.YAML if output is Format.TABLE else output
    emit(as_dict(mesh.links.GetLink(request).link, form), form)


@_group.command("adopt")
def adopt(
    ctx: typer.Context,
    flow: Flow,
    key: Annotated[str, typer.Argument(help="Key of the record.")],
    external_id: Annotated[str, typer.Argument(help="The system's own id of it.")],
    output: Output = Format.YAML,
) -> None:
    """Says that the system holds a record, and under which id: the flow changes it there.

    Example: `isthmus links adopt tickets alert_01j9 INC0010023`
    """
    mesh = mesh_of(ctx)
    request = links_pb2.AdoptLinkRequest(flow_id=flow_id(mesh, flow), key=key, external_id=external_id)
    form = Format.YAML if output is Format.TABLE else output
    emit(as_dict(mesh.links.AdoptLink(request).link, form), form)


@_group.command("forget")
def forget(
    ctx: typer.Context,
    flow: Flow,
    keys: Annotated[list[str] | None, typer.Argument(help="Keys of records.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All links of the flow.")] = False,
    output: Output = Format.YAML,
) -> None:
    """Forgets links: the flow creates these records anew; remove them from the system first.

    Example: `isthmus links forget tickets alert_01j9`
    """
    if bool(keys) == everything:
        raise Problem("SELECTION_EMPTY", "Say which links: give keys, or --all.", exit_code=ExitCode.USAGE)
    mesh = mesh_of(ctx)
    request = links_pb2.DeleteLinksRequest(flow_id=flow_id(mesh, flow), keys=keys or [], all=everything)
    emit({"forgotten": mesh.links.DeleteLinks(request).deleted}, output)
