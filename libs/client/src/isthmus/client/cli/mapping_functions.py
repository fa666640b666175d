"""`isthmus mappings functions`: what steps and expressions may call."""

from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.mappings import group
from isthmus.client.cli.output import Column, Format, Limit, Output, note, show
from isthmus.client.mesh import pages
from isthmus.mapping.v1 import functions_pb2


def _step(function: functions_pb2.Function) -> str:
    """How a step is written; arguments with `?` may be left out."""
    names = ", ".join(f"{one.name}?" if one.optional else one.name for one in function.parameters)
    return f"{function.name}: {names}" if names else function.name


_COLUMNS = (
    Column("STEP", _step),
    Column("IN EXPRESSIONS", lambda item: item.expression.partition("(")[0] or "-"),
    Column("AREA", lambda item: item.area),
    Column("DOES", lambda item: item.documentation, wide=True),
)


def register(app: typer.Typer) -> None:
    """Has the command of this module beside the others of `isthmus mappings`."""


@group.command("functions")
def list_functions(
    ctx: typer.Context,
    area: Annotated[str, typer.Option("--area", help="Only those of a chapter, such as network.")] = "",
    search: Annotated[str, typer.Option("--search", help="Only those that tell of all these words.")] = "",
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists the functions that steps and expressions of mappings call, those of plug-ins too.

    Example: `isthmus mappings functions --search cidr`
    """
    mesh = mesh_of(ctx)
    request = functions_pb2.ListFunctionsRequest(area=area, search=search)
    found = pages(mesh.mapping_functions.ListFunctions, request, "functions", limit)
    show(found, _COLUMNS, output, empty="No function tells of that: leave out --area, or search for less.")
    if output is Format.TABLE:
        first = mesh.mapping_functions.ListFunctions(functions_pb2.ListFunctionsRequest(page_size=1))
        for plugin in first.plugins:
            if plugin.problem:
                note(f"Plug-in {plugin.name} ({plugin.package} {plugin.version}): {plugin.problem}")


__all__ = ["register"]
