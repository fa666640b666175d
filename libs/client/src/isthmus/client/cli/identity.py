"""`isthmus whoami`, `tenants`, `service-accounts` and `keys`: who may call."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from isthmus.client.cli.context import account_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, show_one, when
from isthmus.client.mesh import pages
from isthmus.identity.v1 import identity_pb2

_tenants = typer.Typer(help="Isolated organisations.", no_args_is_help=True)
_accounts = typer.Typer(help="Identities for programs.", no_args_is_help=True)
_keys = typer.Typer(help="API keys of service accounts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the command and the groups to the command line."""
    app.command("whoami")(whoami)
    app.add_typer(_tenants, name="tenants")
    app.add_typer(_accounts, name="service-accounts")
    app.add_typer(_keys, name="keys")


def whoami(ctx: typer.Context, output: Output = Format.YAML) -> None:
    """Shows as whom the mesh sees you.

    Example: `isthmus whoami`
    """
    show_one(mesh_of(ctx).identity.GetCaller(identity_pb2.GetCallerRequest()).caller, output)


@_tenants.command("list")
def list_tenants(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the tenants that you may see.

    Example: `isthmus tenants list`
    """
    columns = (
        Column("TENANT", lambda item: item.name),
        Column("CREATED", lambda item: when(item.create_time)),
        Column("ID", lambda item: item.tenant_id),
    )
    found = pages(mesh_of(ctx).identity.ListTenants, identity_pb2.ListTenantsRequest(), "tenants", limit)
    show(found, columns, output, empty="There is none.")


@_tenants.command("create")
def create_tenant(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes.")],
    output: Output = Format.YAML,
) -> None:
    """Creates a tenant and shows its administrator's API key this once.

    Example: `isthmus tenants create acme`
    """
    request = identity_pb2.CreateTenantRequest(name=name, request_id=str(uuid.uuid4()))
    answer = mesh_of(ctx).identity.CreateTenant(request)
    emit({**as_dict(answer.tenant, output), "api_key": answer.api_key}, output)
    note("Keep the key: it is not shown again.")


@_accounts.command("list")
def list_accounts(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists service accounts.

    Example: `isthmus service-accounts list`
    """
    columns = (
        Column("ACCOUNT", lambda item: item.name),
        Column("ROLES", lambda item: ", ".join(item.roles)),
        Column("DISABLED", lambda item: "yes" if item.is_disabled else "no"),
        Column("ID", lambda item: item.service_account_id),
    )
    request = identity_pb2.ListServiceAccountsRequest()
    found = pages(mesh_of(ctx).identity.ListServiceAccounts, request, "service_accounts", limit)
    show(found, columns, output, empty="There is none.")


@_accounts.command("create")
def create_account(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Unique inside the tenant.")],
    role: Annotated[list[str], typer.Option("--role", help="Role to give; repeatable. See `roles`.")],
    output: Output = Format.YAML,
) -> None:
    """Creates a service account.

    Example: `isthmus service-accounts create siem-reader --role auditor`
    """
    request = identity_pb2.CreateServiceAccountRequest(name=name, roles=role, request_id=str(uuid.uuid4()))
    show_one(mesh_of(ctx).identity.CreateServiceAccount(request).service_account, output)


@_accounts.command("roles")
def roles(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the roles that can be given.

    Example: `isthmus service-accounts roles`
    """
    columns = (
        Column("ROLE", lambda item: item.role),
        Column("FOR", lambda item: item.description, wide=True),
    )
    found = pages(mesh_of(ctx).identity.ListRoles, identity_pb2.ListRolesRequest(), "roles", limit)
    show(found, columns, output, empty="There is none.")


@_keys.command("list")
def list_keys(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists API keys; their secrets are never shown again.

    Example: `isthmus keys list`
    """
    columns = (
        Column("KEY", lambda item: item.api_key_id),
        Column("NAME", lambda item: item.name),
        Column("ACCOUNT", lambda item: item.service_account_id),
        Column("CALLS", lambda item: str(item.use_count)),
        Column("LAST USED", lambda item: when(item.last_used_time)),
        Column("EXPIRES", lambda item: when(item.expire_time)),
        Column("REVOKED", lambda item: when(item.revoke_time)),
    )
    found = pages(mesh_of(ctx).identity.ListApiKeys, identity_pb2.ListApiKeysRequest(), "keys", limit)
    show(found, columns, output, empty="There is none.")


@_keys.command("create")
def create_key(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="Name or id of a service account.")],
    name: Annotated[str, typer.Option("--name", help="What the key is for.")],
    days: Annotated[int, typer.Option("--days", min=1, help="How long it lives.")] = 365,
    permission: Annotated[
        list[str] | None, typer.Option("--permission", help="Narrow it to this pattern; repeatable.")
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option("--network", help="Bind it to this network; repeatable.")
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Calls a second of each process; 0: no limit.")
    ] = 0,
    output: Output = Format.YAML,
) -> None:
    """Makes an API key and shows it this once.

    It can be narrowed to some permissions and bound to networks.

    Example: `isthmus keys create siem-reader --name ci`
    """
    mesh = mesh_of(ctx)
    request = identity_pb2.CreateApiKeyRequest(
        service_account_id=account_id(mesh, account),
        name=name,
        permissions=permission or [],
        allowed_networks=network or [],
        requests_per_second=rate,
        request_id=str(uuid.uuid4()),
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    answer = mesh.identity.CreateApiKey(request)
    emit({**as_dict(answer.key, output), "api_key": answer.api_key}, output)
    note("Keep the key: it is not shown again.")


@_keys.command("revoke")
def revoke_key(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Id of a key: the middle part of ist_<id>_<secret>.")],
    output: Output = Format.YAML,
) -> None:
    """Ends an API key everywhere within five seconds.

    Example: `isthmus keys revoke key_01j9`
    """
    show_one(mesh_of(ctx).identity.RevokeApiKey(identity_pb2.RevokeApiKeyRequest(api_key_id=key)).key, output)
