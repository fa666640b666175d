"""`isthmus credentials`: what instances authenticate with; secrets are never shown."""

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from isthmus.client.cli.context import auth_config_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, show, show_one, when, word
from isthmus.client.manifest.credentials import (
    RotationActionName,
    RotationSpec,
    SecretReference,
    fields_of,
    secret_of,
    spec_of,
)
from isthmus.client.mesh import Mesh, pages
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2


def _next(item: credentials_pb2.AuthenticationConfig) -> str:
    """When the next secret is due, or what keeps the present rotation from its end."""
    status = item.rotation_status
    if status.failure_reason:
        return f"{status.failure_reason}, again {when(status.next_try_time)}"
    if status.stage:
        stage = word(credentials_pb2.RotationStatus.Stage.Name(status.stage), "STAGE_")
        return f"{stage}, {when(status.next_try_time)}"
    return when(status.next_time)


_group = typer.Typer(help="What instances authenticate with; secrets are never shown.", no_args_is_help=True)
_COLUMNS = (
    Column("CREDENTIAL", lambda item: item.name),
    Column("TYPE", lambda item: word(connector_pb2.AuthMethod.Name(item.auth_type), "AUTH_METHOD_")),
    Column("LAST USED", lambda item: when(item.last_used_time)),
    Column("ROTATED", lambda item: when(item.rotation_status.last_time)),
    Column("NEXT ROTATION", _next),
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
    show_one(_get(mesh_of(ctx), credential), output)


@_group.command("rotate")
def rotate(
    ctx: typer.Context,
    credential: Credential,
    env: Annotated[
        str, typer.Option(help="Environment variable that holds the new secret; without one it is made.")
    ] = "",
    overlap_hours: Annotated[
        int | None,
        typer.Option(help="How long the old secret is kept; as the schedule says, or a day.", min=0, max=720),
    ] = None,
    output: Output = Format.YAML,
) -> None:
    """Replaces a secret and keeps the old one for a while.

    With --env you enter the new one. Without it Isthmus makes it together with the external system, where
    that lets a program do so, and tells the system to refuse the old one after the overlap.

    Example: `isthmus credentials rotate ath_01j9 --env NEW_SECRET`
    """
    mesh = mesh_of(ctx)
    item = _get(mesh, credential)
    request = credentials_pb2.RotateAuthConfigRequest(auth_config_id=item.auth_config_id, etag=item.etag)
    if env:
        spec = spec_of(item).model_copy(update={"secret": SecretReference(env=env)})
        request.secret.CopyFrom(secret_of(item.name, spec))
    if overlap_hours is not None:
        request.overlap.CopyFrom(Duration(seconds=overlap_hours * 3600))
    show_one(mesh.credentials.RotateAuthConfig(request).auth_config, output)


@_group.command("schedule")
def schedule(
    ctx: typer.Context,
    credential: Credential,
    every_days: Annotated[int, typer.Option(help="Days from one secret to the next; 0 for never.", min=0)],
    overlap_hours: Annotated[int, typer.Option(help="How long the old secret is kept.", min=0, max=720)] = 24,
    remind_only: Annotated[
        bool, typer.Option("--remind-only", help="Only say that it is time; a person makes the secret.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Says how often a secret is to be replaced.

    Example: `isthmus credentials schedule own-postgres --every-days 90`
    """
    mesh = mesh_of(ctx)
    item = _get(mesh, credential)
    action: RotationActionName = "remind" if remind_only else "rotate"
    policy = RotationSpec(every_days=every_days, overlap_hours=overlap_hours, action=action)
    spec = spec_of(item).model_copy(update={"rotation": policy if every_days else None})
    request = credentials_pb2.UpdateAuthConfigRequest(
        auth_config_id=item.auth_config_id, etag=item.etag, **fields_of(item.name, spec)
    )
    if item.HasField("expire_time"):
        request.expire_time.CopyFrom(item.expire_time)
    show_one(mesh.credentials.UpdateAuthConfig(request).auth_config, output)


@_group.command("delete")
def delete(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Deletes a credential and all versions of its secret.

    Example: `isthmus credentials delete own-postgres`
    """
    mesh = mesh_of(ctx)
    found = auth_config_id(mesh, credential)
    mesh.credentials.DeleteAuthConfig(credentials_pb2.DeleteAuthConfigRequest(auth_config_id=found))
    emit({"deleted": found}, output)


def _get(mesh: Mesh, credential: str) -> credentials_pb2.AuthenticationConfig:
    request = credentials_pb2.GetAuthConfigRequest(auth_config_id=auth_config_id(mesh, credential))
    return mesh.credentials.GetAuthConfig(request).auth_config
