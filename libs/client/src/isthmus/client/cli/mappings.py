"""`isthmus mappings`: how records change their shape."""

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from isthmus.client.cli.context import mapping_id, mesh_of
from isthmus.client.cli.output import (
    Column,
    Format,
    Limit,
    Output,
    emit,
    show,
    show_one,
    show_table,
    when,
    word,
)
from isthmus.client.mesh import pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.mapping.v1 import mapping_pb2
from isthmus.type.v1 import privacy_pb2

group = typer.Typer(help="How records change their shape.", no_args_is_help=True)
_COLUMNS = (
    Column("MAPPING", lambda item: item.name),
    Column("VERSION", lambda item: str(item.version)),
    Column("STATE", lambda item: word(mapping_pb2.DataMapping.State.Name(item.state), "STATE_")),
    Column("SAVED", lambda item: when(item.update_time)),
    Column("BY", lambda item: item.created_by),
    Column("ID", lambda item: item.mapping_id),
)
Mapping = Annotated[str, typer.Argument(help="Name or id of a mapping.")]
Version = Annotated[int, typer.Option("--version", help="Which version; the newest when not given.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(group, name="mappings")


@group.command("list")
def list_mappings(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists mappings in their newest version, and how far that has come.

    Example: `isthmus mappings list`
    """
    found = pages(mesh_of(ctx).mapping.ListMappings, mapping_pb2.ListMappingsRequest(), "mappings", limit)
    show(found, _COLUMNS, output, empty="There is no mapping yet: `isthmus apply -f FILE` creates one.")


@group.command("show")
def show_mapping(
    ctx: typer.Context, mapping: Mapping, version: Version = 0, output: Output = Format.YAML
) -> None:
    """Shows a mapping.

    Example: `isthmus mappings show posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = mapping_pb2.GetMappingRequest(mapping_id=mapping_id(mesh, mapping), version=version)
    show_one(mesh.mapping.GetMapping(request).mapping, output)


@group.command("versions")
def versions(ctx: typer.Context, mapping: Mapping, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the versions of a mapping, newest first.

    Example: `isthmus mappings versions posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = mapping_pb2.ListMappingVersionsRequest(mapping_id=mapping_id(mesh, mapping))
    show(pages(mesh.mapping.ListMappingVersions, request, "versions", limit), _COLUMNS, output, empty="None.")


@group.command("classes")
def classes(
    ctx: typer.Context, mapping: Mapping, version: Version = 0, output: Output = Format.TABLE
) -> None:
    """Shows how sensitive the fields are that a mapping makes, and where it lowers what their sources say.

    Example: `isthmus mappings classes posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = mapping_pb2.CompileMappingRequest(mapping_id=mapping_id(mesh, mapping), version=version)
    answer = mesh.mapping.CompileMapping(request)
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    told = {item.path: _class(item.data_class) for item in answer.target_classes}
    lowered = {item.path: _class(item.source_class) for item in answer.lowered_classes}
    paths = dict.fromkeys([*answer.target_fields, *told])
    rows = [[path, told.get(path, "internal"), lowered.get(path, "-")] for path in paths]
    show_table(["FIELD", "CLASS", "LOWERED FROM"], rows)


def _class(number: privacy_pb2.DataClass.ValueType) -> str:
    return word(privacy_pb2.DataClass.Name(number), "DATA_CLASS_")


@group.command("schema")
def schema(
    document: Annotated[
        bool, typer.Option("--document", help="Of a document for `isthmus apply`, not of its `spec` alone.")
    ] = False,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="A JSON Schema is JSON, or the same as YAML.")
    ] = Format.JSON,
) -> None:
    """Prints the JSON Schema (2020-12) of mappings, by which editors complete and check them; needs no mesh.

    Example: `isthmus mappings schema --document > mapping.schema.json`
    """
    text = resources.files("isthmus.client").joinpath("mapping.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    emit(_of_document(found) if document else found, Format.YAML if output is Format.YAML else Format.JSON)


def _of_document(definition: dict[str, Any]) -> dict[str, Any]:
    """The schema of a document, whose spec is a definition with more to say and less to repeat."""
    spec = {name: told for name, told in definition["properties"].items() if name != "version"}
    spec["instance"] = {"type": "string", "description": "Name of the instance it is made for."}
    spec["golden_samples"] = {"type": "array", "items": {"type": "object"}}
    named = {"type": "string", "minLength": 1}
    whole = {"type": "object", "properties": spec, "additionalProperties": False}
    return {
        "$schema": definition["$schema"],
        "title": "Isthmus mapping in a document",
        "type": "object",
        "properties": {"kind": {"const": "Mapping"}, "name": named, "spec": whole},
        "required": ["kind", "name", "spec"],
        "$defs": definition["$defs"],
    }


@group.command("test")
def try_samples(
    ctx: typer.Context,
    mapping: Mapping,
    samples: Annotated[
        Path, typer.Option("--samples", help="JSON array, JSON Lines or YAML list of records.")
    ],
    version: Version = 0,
    output: Output = Format.TABLE,
) -> None:
    """Maps sample records without storing anything.

    Example: `isthmus mappings test posture-to-ticket --samples records.json`
    """
    mesh = mesh_of(ctx)
    request = mapping_pb2.TestMappingRequest(
        mapping_id=mapping_id(mesh, mapping), version=version, samples=samples_in(samples)
    )
    results = mesh.mapping.TestMapping(request).results
    columns = (
        Column("OUTCOME", lambda item: word(mapping_pb2.SampleResult.Outcome.Name(item.outcome), "OUTCOME_")),
        Column("RECORD OR ERRORS", lambda item: item.record or _errors(item), wide=True),
    )
    show(results, columns, output, empty="There was no sample.")
    if any(item.outcome == mapping_pb2.SampleResult.OUTCOME_REJECTED for item in results):
        raise typer.Exit(ExitCode.FAILED)


def _errors(result: mapping_pb2.SampleResult) -> str:
    return "; ".join(
        f"{error.target or error.source or 'record'}: {error.message}" for error in result.errors
    )


def samples_in(path: Path) -> list[str]:
    """The records in a file, each as the text of a JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return [line for line in text.splitlines() if line.strip()]
        found = yaml.safe_load(text) if path.suffix in {".yaml", ".yml"} else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Problem(
            "SAMPLES_UNREADABLE",
            f"{path} holds no samples ({type(error).__name__}): give JSON, JSON Lines or a YAML list.",
            exit_code=ExitCode.USAGE,
        ) from error
    return [json.dumps(item) for item in (found if isinstance(found, list) else [found])]
