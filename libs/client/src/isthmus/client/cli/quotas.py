"""`isthmus quota`: how much of an installation one tenant may take."""

from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Format, Output, show_one, show_table
from isthmus.client.problem import ExitCode, Problem
from isthmus.identity.v1 import quotas_pb2 as pb

_quota = typer.Typer(help="How much of the installation a tenant may take.", no_args_is_help=True)
_NAMES = [field.name for field in pb.Quotas.DESCRIPTOR.fields]
_NO_LIMIT = -1
_WORDS = {"none": _NO_LIMIT, "default": None}

Tenant = Annotated[str, typer.Option("--tenant", help="Id of the tenant; yours by default.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_quota, name="quota")


@_quota.command("show")
def show_quotas(ctx: typer.Context, tenant: Tenant = "", output: Output = Format.TABLE) -> None:
    """Shows what a tenant may have and do at most, and how much of it is used.

    Example: `isthmus quota show`
    """
    answer = mesh_of(ctx).quotas.GetUsage(pb.GetUsageRequest(tenant_id=tenant))
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    rows = [
        [
            one.quota,
            str(one.limit) if one.HasField("limit") else "none",
            str(one.used) if one.HasField("used") else "-",
            f"{one.used / one.limit:.0%}" if one.HasField("used") and one.limit else "-",
            "yes" if one.is_set else "no",
        ]
        for one in answer.usage
    ]
    show_table(["QUOTA", "LIMIT", "USED", "SHARE", "SET"], rows)


@_quota.command("set")
def set_quotas(
    ctx: typer.Context,
    limits: Annotated[
        list[str], typer.Argument(metavar="NAME=LIMIT...", help="A number, `none` or `default` for each.")
    ],
    tenant: Tenant = "",
    output: Output = Format.YAML,
) -> None:
    """Changes what a tenant may have and do at most; what is not named stays. For who runs the installation.

    Example: `isthmus quota set flows=500 executions=20 stored_records=none`
    """
    quotas = mesh_of(ctx).quotas
    wanted = dict(_parsed(one) for one in limits)
    before = quotas.GetTenantQuotas(pb.GetTenantQuotasRequest(tenant_id=tenant))
    changed = {**_values(before.quotas), **wanted}
    kept = {name: limit for name, limit in changed.items() if limit is not None}
    request = pb.SetTenantQuotasRequest(tenant_id=tenant, quotas=pb.Quotas(**kept), etag=before.etag)
    show_one(quotas.SetTenantQuotas(request), output)


def _values(quotas: pb.Quotas) -> dict[str, int]:
    return {field.name: int(value) for field, value in quotas.ListFields()}


def _parsed(text: str) -> tuple[str, int | None]:
    """Read `flows=500`."""
    name, _, limit = text.partition("=")
    if name in _NAMES and limit in _WORDS:
        return name, _WORDS[limit]
    if name not in _NAMES or not limit.isdecimal():
        message = f"Write NAME=LIMIT with one of {', '.join(_NAMES)}, and a number, none or default."
        raise Problem("QUOTA_INVALID", message, exit_code=ExitCode.USAGE)
    return name, int(limit)
