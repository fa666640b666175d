"""`isthmus credentials`: what instances authenticate with; secrets are never shown."""

from typing import Annotated

import typer
from isthmus.client.cli.context import auth_config_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, show, show_one, when, word
from isthmus.client.mesh import pages
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2

_group = typer.Typer(help="What instances authenticate with; secrets are never shown.", no_args_is_help=True)
_COLUMNS = (
    Column("CREDENTIAL", lambda item: item.name),
    Column("TYPE", lambda item: word(connector_pb2.AuthMethod.Name(item.auth_type), "AUTH_METHOD_")),
    Column("LAST USED", lambda item: when(item.last_used_time)),
    Column("EXPIRES", lambda item: when(item.expire_time)),
    Column("SECRET VERSION", lambda item: str(item.secret_version)),
    Column("ID", lambda item: item.auth_config_id),
)
Credential = Annotated[str, typer.Argument(help="Name or id of a credential.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="credentials")


@_group.command("list")
def list_credentials(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists credentials.

    Example: `isthmus credentials list`
    """
    request = credentials_pb2.ListAuthConfigsRequest()
    found = pages(mesh_of(ctx).credentials.ListAuthConfigs, request, "auth_configs", limit)
    show(found, _COLUMNS, output, empty="There is no credential yet: `isthmus apply -f FILE` creates one.")


@_group.command("show")
def show_credential(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Shows a credential without its secret.

    Example: `isthmus credentials show own-postgres`
    """
    mesh = mesh_of(ctx)
    request = credentials_pb2.GetAuthConfigRequest(auth_config_id=auth_config_id(mesh, credential))
    show_one(mesh.credentials.GetAuthConfig(request).auth_config, output)


@_group.command("delete")
def delete(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Deletes a credential and all versions of its secret.

    Example: `isthmus credentials delete own-postgres`
    """
    mesh = mesh_of(ctx)
    found = auth_config_id(mesh, credential)
    mesh.credentials.DeleteAuthConfig(credentials_pb2.DeleteAuthConfigRequest(auth_config_id=found))
    emit({"deleted": found}, output)
