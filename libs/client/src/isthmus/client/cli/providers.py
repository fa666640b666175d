"""`isthmus providers`: OpenID Connect providers that vouch for people and programs."""

import uuid
from pathlib import Path
from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, show, show_one
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.identity.v1 import providers_pb2

_group = typer.Typer(help="Identity providers that vouch for people and programs.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="providers")


@_group.command("list")
def list_providers(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists providers; secrets are never shown.

    Example: `isthmus providers list`
    """
    columns = (
        Column("PROVIDER", lambda item: item.name),
        Column("ISSUER", lambda item: item.issuer),
        Column("CLIENT", lambda item: item.client_id),
        Column("DISABLED", lambda item: "yes" if item.is_disabled else "no"),
        Column("ID", lambda item: item.provider_id),
    )
    found = pages(
        mesh_of(ctx).providers.ListProviders, providers_pb2.ListProvidersRequest(), "providers", limit
    )
    show(found, columns, output, empty="There is none.")


@_group.command("create")
def create_provider(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Address of the provider, as in its tokens.")],
    client_id: Annotated[str, typer.Option("--client-id", help="As what Isthmus is registered there.")],
    client_secret_file: Annotated[
        Path | None, typer.Option("--client-secret-file", help="File with the secret of that client.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What to ask for besides openid; repeatable.")
    ] = None,
    role_claim: Annotated[str, typer.Option("--role-claim", help="Claim that roles are given for.")] = "",
    role: Annotated[
        list[str] | None, typer.Option("--role", help="VALUE=ROLE: a role for a value of it; repeatable.")
    ] = None,
    name_claim: Annotated[str, typer.Option("--name-claim", help="Claim with the user's name.")] = "",
    audience: Annotated[
        str, typer.Option("--audience", help="Audience of access tokens that programs call with.")
    ] = "",
    output: Output = Format.YAML,
) -> None:
    """Makes a provider known.

    Example: `isthmus providers create corp --issuer https://idp.example --client-id isthmus`
    """
    provider = providers_pb2.Provider(
        name=name,
        issuer=issuer,
        client_id=client_id,
        scopes=scope or ["email"],
        role_claim=role_claim,
        name_claim=name_claim,
        audience=audience,
        role_mappings=[_mapping(text) for text in role or []],
    )
    request = providers_pb2.CreateProviderRequest(provider=provider, request_id=str(uuid.uuid4()))
    if client_secret_file is not None:
        request.client_secret = _secret(client_secret_file)
    show_one(mesh_of(ctx).providers.CreateProvider(request).provider, output)


@_group.command("delete")
def delete_provider(
    ctx: typer.Context,
    provider: Annotated[str, typer.Argument(help="Name or id of a provider.")],
    output: Output = Format.YAML,
) -> None:
    """Forgets a provider; its users stay and cannot log in by it.

    Example: `isthmus providers delete corp`
    """
    mesh = mesh_of(ctx)
    found = _provider_id(mesh, provider)
    mesh.providers.DeleteProvider(providers_pb2.DeleteProviderRequest(provider_id=found))
    emit({"deleted": found}, output)


def _provider_id(mesh: Mesh, reference: str) -> str:
    if reference.startswith("idp_"):
        return reference
    listed = pages(mesh.providers.ListProviders, providers_pb2.ListProvidersRequest(), "providers")
    found = next((item for item in listed if item.name == reference), None)
    if found is None:
        message = f"No provider is called {reference}: `isthmus providers list` shows what there is."
        raise Problem("PROVIDER_UNKNOWN", message, exit_code=ExitCode.USAGE)
    return str(found.provider_id)


def _mapping(text: str) -> providers_pb2.RoleMapping:
    value, separator, role = text.rpartition("=")
    if not separator or not value or not role:
        message = f"{text} gives no role: write VALUE=ROLE, audit=auditor for example."
        raise Problem("ROLE_MAPPING_INVALID", message, exit_code=ExitCode.USAGE)
    return providers_pb2.RoleMapping(value=value, roles=[role])


def _secret(file: Path) -> str:
    try:
        return file.read_text().rstrip("\n")
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: name a file with the client's secret."
        raise Problem("SECRET_FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
