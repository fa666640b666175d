"""`isthmus scim`: directories that keep a tenant's users and groups."""

import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from isthmus.client.cli.context import account_id, mesh_of
from isthmus.client.cli.output import Format, Output, emit, note
from isthmus.client.mesh import pages
from isthmus.identity.v1 import identity_pb2, scim_pb2

_group = typer.Typer(help="Directories that keep users and groups by SCIM 2.0.", no_args_is_help=True)
_ROLE = "provisioner"
_PATH = "/scim/v2"


class Dialect(StrEnum):
    """Whose deviations from the standard are put up with."""

    STRICT = "strict"
    ENTRA = "entra"
    OKTA = "okta"


Dialects = Annotated[Dialect, typer.Option("--dialect", help="Whose deviations are put up with.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="scim")


@_group.command("token")
def make_token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a service account; it is made if need be.")],
    dialect: Dialects = Dialect.STRICT,
    days: Annotated[int, typer.Option("--days", min=1, help="How long the key lives.")] = 365,
    output: Output = Format.YAML,
) -> None:
    """Makes the key that a directory calls with, and shows it this once.

    Example: `isthmus scim token entra --dialect entra`
    """
    mesh = mesh_of(ctx)
    listed = pages(
        mesh.identity.ListServiceAccounts, identity_pb2.ListServiceAccountsRequest(), "service_accounts"
    )
    if not any(one.name == name for one in listed):
        account = identity_pb2.CreateServiceAccountRequest(
            name=name, description="A directory, by SCIM.", roles=[_ROLE], request_id=str(uuid.uuid4())
        )
        mesh.identity.CreateServiceAccount(account)
    held = account_id(mesh, name)
    mesh.scim.SetScimDialect(scim_pb2.SetScimDialectRequest(service_account_id=held, dialect=_value(dialect)))
    request = identity_pb2.CreateApiKeyRequest(
        service_account_id=held, name="scim", request_id=str(uuid.uuid4())
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    answer = mesh.identity.CreateApiKey(request)
    shown = {"path": _PATH, "dialect": dialect.value, "service_account_id": held, "api_key": answer.api_key}
    emit(shown, output)
    note("Keep the key: it is not shown again.")


@_group.command("dialect")
def set_dialect(
    ctx: typer.Context,
    dialect: Annotated[Dialect, typer.Argument(help="Whose deviations are put up with.")],
    account: Annotated[
        str, typer.Option("--account", help="Of this service account only; else of all without a rule.")
    ] = "",
    output: Output = Format.YAML,
) -> None:
    """Says which deviations from the standard are put up with.

    Example: `isthmus scim dialect okta`
    """
    mesh = mesh_of(ctx)
    held = account_id(mesh, account) if account else ""
    mesh.scim.SetScimDialect(scim_pb2.SetScimDialectRequest(service_account_id=held, dialect=_value(dialect)))
    emit({"service_account_id": held, "dialect": dialect.value}, output)


@_group.command("status")
def status(ctx: typer.Context, output: Output = Format.YAML) -> None:
    """Shows how many users and groups directories keep, and what is put up with from whom.

    Example: `isthmus scim status`
    """
    scim = mesh_of(ctx).scim
    counts = {
        name: scim.QueryScimResources(scim_pb2.QueryScimResourcesRequest(resource_type=kind)).total_count
        for name, kind in (
            ("users", scim_pb2.SCIM_RESOURCE_TYPE_USER),
            ("groups", scim_pb2.SCIM_RESOURCE_TYPE_GROUP),
        )
    }
    rules = scim.GetScimDialects(scim_pb2.GetScimDialectsRequest()).rules
    names = {one.service_account_id or "everybody else": _word(one.dialect) for one in rules}
    emit({"path": _PATH, **counts, "dialects": {"everybody else": Dialect.STRICT.value, **names}}, output)


def _value(dialect: Dialect) -> scim_pb2.ScimDialect.ValueType:
    return scim_pb2.ScimDialect.Value(f"SCIM_DIALECT_{dialect.name}")


def _word(value: scim_pb2.ScimDialect.ValueType) -> str:
    return scim_pb2.ScimDialect.Name(value).removeprefix("SCIM_DIALECT_").lower()
