"""`isthmus models`: the shapes that records of different systems are brought into."""

from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, show, show_one, show_table, unfolded
from isthmus.client.mesh import pages
from isthmus.mapping.v1 import models_pb2
from isthmus.models import Field, outline

_group = typer.Typer(help="Shapes that records of different systems are brought into.", no_args_is_help=True)
_COLUMNS = (
    Column("MODEL", lambda item: f"{item.name}@{item.version}"),
    Column("STANDARD", lambda item: f"{item.standard} {item.standard_version}"),
    Column("IS", lambda item: item.description, wide=True),
)


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="models")


@_group.command("list")
def list_models(
    ctx: typer.Context,
    standard: Annotated[
        str, typer.Option("--standard", help="Only those of ocsf, oscal, scim, focus, stix or isthmus.")
    ] = "",
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists the models that a mapping may name in place of a schema.

    Example: `isthmus models list --standard ocsf`
    """
    request = models_pb2.ListModelsRequest(standard=standard)
    found = pages(mesh_of(ctx).models.ListModels, request, "models", limit)
    show(
        found, _COLUMNS, output, empty="There is no model of that standard: `isthmus models list` shows all."
    )


@_group.command("show")
def show_model(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(help="For example ocsf/incident_finding, or with its version, …@1.")
    ],
    output: Output = Format.TABLE,
) -> None:
    """Shows the fields of a model and of its parts; JSON and YAML hold the JSON Schema.

    Example: `isthmus models show isthmus/incident_link`
    """
    found = mesh_of(ctx).models.GetModel(models_pb2.GetModelRequest(name=model)).model
    if output is not Format.TABLE:
        show_one(found, output)
        return
    rows = [
        _row(f"<{part}>.{field.path}" if part else field.path, field)
        for part, fields in outline(unfolded(found.json_schema)).items()
        for field in fields
    ]
    show_table(["FIELD", "TYPE", "REQUIRED", "CLASS", "MEANS"], rows, wide=True)


def _row(path: str, field: Field) -> list[str]:
    texts = [choice for choice in field.choices if isinstance(choice, str)]
    required = "yes" if field.is_required else "no"
    return [path, " | ".join(texts) or field.kind, required, field.data_class or "-", field.description]


__all__ = ["register"]
