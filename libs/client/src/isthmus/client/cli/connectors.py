"""`isthmus connectors`: what Isthmus can connect to."""

from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, show, show_one, word
from isthmus.client.mesh import pages
from isthmus.connector.v1 import connector_pb2
from isthmus.registry.v1 import registry_pb2

_group = typer.Typer(help="What Isthmus can connect to.", no_args_is_help=True)
_COLUMNS = (
    Column("CONNECTOR", lambda item: item.spec.connector_id),
    Column("VERSION", lambda item: item.spec.version),
    Column("KIND", lambda item: item.spec.system_type),
    Column("HOSTS", lambda item: str(item.live_hosts)),
    Column("CAN", lambda item: _abilities(item.spec)),
    Column("DOES", lambda item: item.spec.description.partition("\n")[0], wide=True),
)


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="connectors")


@_group.command("list")
def list_connectors(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists connectors.

    Example: `isthmus connectors list --output json`
    """
    found = pages(
        mesh_of(ctx).registry.ListConnectors, registry_pb2.ListConnectorsRequest(), "connectors", limit
    )
    show(found, _COLUMNS, output, empty="No connector is registered: start a host, or run `isthmus up`.")


@_group.command("show")
def show_connector(
    ctx: typer.Context,
    connector: Annotated[str, typer.Argument(help="Connector id, for example http-json.")],
    output: Output = Format.YAML,
) -> None:
    """Shows a connector with the JSON Schema of its configuration.

    Example: `isthmus connectors show http-json`
    """
    request = registry_pb2.GetConnectorRequest(connector_id=connector)
    found = mesh_of(ctx).registry.GetConnector(request).connector
    for ready in found.spec.ready_mappings:
        # `isthmus mappings ready` shows these.
        ready.ClearField("document")
    show_one(found, output)


@_group.command("hosts")
def list_hosts(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the connector hosts that run.

    Example: `isthmus connectors hosts`
    """
    columns = (
        Column("HOST", lambda item: item.host_id),
        Column("CONNECTOR", lambda item: item.connector_id),
        Column("ADDRESS", lambda item: item.address),
        Column("RUNNING", lambda item: str(item.running_executions)),
    )
    found = pages(mesh_of(ctx).registry.ListHosts, registry_pb2.ListHostsRequest(), "hosts", limit)
    show(found, columns, output, empty="No host runs; one starts when it is needed.")


def _abilities(spec: connector_pb2.ConnectorSpec) -> str:
    names = (connector_pb2.Capability.Name(item) for item in spec.capabilities)
    return ", ".join(word(name, "CAPABILITY_") for name in names)
