"""`isthmus auth`: whether credentials work, and tokens got with them; secrets are never shown."""

from typing import Annotated

import typer
from isthmus.client.cli.context import auth_config_id, mesh_of
from isthmus.client.cli.output import Column, Format, Output, note, show, show_one, when, word
from isthmus.client.problem import ExitCode
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2

_group = typer.Typer(help="Whether credentials work, and the tokens got with them.", no_args_is_help=True)
_STEPS = (
    Column("STEP", lambda step: step.step),
    Column("RESULT", lambda step: word(connector_pb2.CheckStep.Result.Name(step.result), "RESULT_")),
    Column("FOUND", lambda step: step.message),
    Column("WHAT TO DO", lambda step: step.remedy),
)
Credential = Annotated[str, typer.Argument(help="Name or id of a credential.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="auth")


@_group.command("test")
def try_credential(ctx: typer.Context, credential: Credential, output: Output = Format.TABLE) -> None:
    """Tries a credential step by step; ends with 1 when it does not work.

    Of an OAuth method a new access token is got.

    Example: `isthmus auth test own-postgres`
    """
    mesh = mesh_of(ctx)
    request = credentials_pb2.TestAuthConfigRequest(auth_config_id=auth_config_id(mesh, credential))
    answer = mesh.credentials.TestAuthConfig(request)
    show(answer.steps, _STEPS, output, empty="")
    if not answer.is_usable:
        raise typer.Exit(ExitCode.FAILED)


@_group.command("refresh")
def refresh(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Gets a new access token now, whatever was refused before.

    Hosts take it up within seconds.

    Example: `isthmus auth refresh ath_01j9`
    """
    mesh = mesh_of(ctx)
    request = credentials_pb2.RefreshAuthConfigRequest(auth_config_id=auth_config_id(mesh, credential))
    changed = mesh.credentials.RefreshAuthConfig(request).auth_config
    note(f"The new token ends at {when(changed.token_status.expire_time)}.")
    show_one(changed, output)
