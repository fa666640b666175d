"""`isthmus auth`: whether credentials work, and tokens got with them; secrets are never shown."""

import time
from typing import Annotated

import typer
from isthmus.client.cli.context import auth_config_id, gateway_of, mesh_of
from isthmus.client.cli.output import Column, Format, Output, emit, note, show, show_one, when, word
from isthmus.client.mesh import Mesh
from isthmus.client.problem import ExitCode
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import authorization_pb2, credentials_pb2

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


@_group.command("revoke")
def revoke(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Takes a credential out of use at once, at all hosts.

    A new secret, or authorizing it anew, brings it back. At the external system revoke it, too.

    Example: `isthmus auth revoke ath_01j9`
    """
    mesh = mesh_of(ctx)
    request = credentials_pb2.RevokeAuthConfigRequest(auth_config_id=auth_config_id(mesh, credential))
    show_one(mesh.credentials.RevokeAuthConfig(request).auth_config, output)


@_group.command("authorize")
def authorize(
    ctx: typer.Context,
    credential: Credential,
    port: Annotated[
        int, typer.Option(help="Port of the redirect on this machine; 0 takes a free one.", max=65535, min=0)
    ] = 0,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="The browser comes back to the gateway, from any machine.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Lets you authorize a credential in your browser, which comes back to this command, or to the gateway.

    Register `http://127.0.0.1:PORT/callback` as a redirect at the authorization server, where it wants that;
    with --gateway the gateway's address and `/oauth/callback`.

    Example: `isthmus auth authorize ath_01j9`
    """
    from isthmus.client.cli.redirect import Redirect  # loads a web server, which other commands do not need

    mesh = mesh_of(ctx)
    held = auth_config_id(mesh, credential)
    if gateway:
        _by_gateway(mesh, held, output)
        return
    with Redirect(port) as redirect:
        begun = mesh.authorizations.BeginAuthorization(
            authorization_pb2.BeginAuthorizationRequest(auth_config_id=held, redirect_uri=redirect.uri)
        )
        note(f"Open this address in your browser:\n\n  {begun.authorization_url}\n")
        answer = redirect.wait(begun.state, until=begun.expire_time.seconds)
    request = authorization_pb2.CompleteAuthorizationRequest(
        state=begun.state,
        code=answer.get("code", ""),
        issuer=answer.get("iss", ""),
        error=answer.get("error", ""),
    )
    show_one(mesh.authorizations.CompleteAuthorization(request).auth_config, output)


def _by_gateway(mesh: Mesh, held: str, output: Format) -> None:
    """Begins an authorization that the gateway finishes; what comes of it shows in the credential."""
    request = authorization_pb2.BeginAuthorizationRequest(
        auth_config_id=held, redirect_uri=f"{gateway_of(mesh)}/oauth/callback"
    )
    begun = mesh.authorizations.BeginAuthorization(request)
    note("Open this address in a browser; the page that it ends with tells whether all is well.")
    emit({"authorization_url": begun.authorization_url, "until": when(begun.expire_time)}, output)


@_group.command("device")
def device(ctx: typer.Context, credential: Credential, output: Output = Format.YAML) -> None:
    """Lets you authorize a credential on another device: shows a code, and waits until you have entered it.

    Example: `isthmus auth device ath_01j9`
    """
    mesh = mesh_of(ctx)
    begun = mesh.authorizations.BeginDeviceAuthorization(
        authorization_pb2.BeginDeviceAuthorizationRequest(auth_config_id=auth_config_id(mesh, credential))
    )
    address = begun.verification_uri_complete or begun.verification_uri
    note(f"Open {address} on any device and enter {begun.user_code}.")
    pause = begun.poll_interval
    while True:
        time.sleep(pause.seconds + pause.nanos / 1e9)
        answer = mesh.authorizations.PollDeviceAuthorization(
            authorization_pb2.PollDeviceAuthorizationRequest(authorization_id=begun.authorization_id)
        )
        if answer.is_complete:
            show_one(answer.auth_config, output)
            return
        pause = answer.poll_interval
