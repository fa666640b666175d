"""`isthmus mappings lineage | suggest`: what mappings are made of, and what new ones could look like."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from isthmus.client.cli.context import instance_id, mapping_id, mesh_of
from isthmus.client.cli.mappings import Mapping, Version, group, samples_in
from isthmus.client.cli.output import Format, Output, as_dict, emit, show_one, show_table
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.mapping.v1 import suggestions_pb2
from isthmus.registry.v1 import registry_pb2

_UNSURE = 0.7


def register(app: typer.Typer) -> None:
    """Has the commands of this module beside the others of `isthmus mappings`."""


@group.command("lineage")
def lineage(
    ctx: typer.Context, mapping: Mapping, version: Version = 0, output: Output = Format.TABLE
) -> None:
    """Shows what each target field is made of: source fields, functions, tables, constants.

    Example: `isthmus mappings lineage posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    answer = mesh.mapping_suggestions.GetMappingLineage(
        suggestions_pb2.GetMappingLineageRequest(mapping_id=mapping_id(mesh, mapping), version=version)
    )
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    show_lineage(list(answer.fields))


def show_lineage(fields: list[suggestions_pb2.FieldLineage]) -> None:
    """Prints what target fields are made of."""
    rows = [
        [
            one.target,
            ", ".join(one.sources) or "-",
            " → ".join([*one.functions, *(f"table {name}" for name in one.tables)]) or "-",
            "; ".join([*one.expressions, *one.constants, *(f"if {path}" for path in one.conditions)]) or "-",
        ]
        for one in fields
    ]
    show_table(["FIELD", "MADE FROM", "BY", "WITH"], rows, wide=True)


@group.command("suggest")
def suggest(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Option("--from", help="INSTANCE/STREAM, a model, or a file with a JSON Schema.")
    ],
    target: Annotated[
        str, typer.Option("--to", help="A model, INSTANCE/STREAM, or a file with a JSON Schema.")
    ],
    samples: Annotated[
        Path | None, typer.Option("--samples", help="Records of the source; they tell more than schemas.")
    ] = None,
    least: Annotated[
        float, typer.Option("--least", min=0, max=1, help="Leave out what is less sure than this.")
    ] = 0.5,
    name: Annotated[str, typer.Option("--name", help="What the mapping is to be called.")] = "suggested",
    output: Output = Format.YAML,
) -> None:
    """Proposes a mapping by names, types and values, as YAML with how sure each field is.

    Look at each field before you apply it; nothing is stored.

    Example: `isthmus mappings suggest --from own-postgres/server --to isthmus/cmdb_ci@1`
    """
    mesh = mesh_of(ctx)
    answer = mesh.mapping_suggestions.SuggestMapping(
        suggestions_pb2.SuggestMappingRequest(
            source_schema=_schema(mesh, source),
            target_schema=_schema(mesh, target),
            samples=samples_in(samples) if samples else (),
            least_confidence=least,
        )
    )
    if output is Format.JSON:
        emit(as_dict(answer), output)
        return
    sys.stdout.write(_document(answer, name, target if "@" in target else ""))


def _schema(mesh: Mesh, reference: str) -> str:
    """Gives the schema that a reference means, or the model's name, as JSON."""
    path = Path(reference)
    if path.suffix in {".json", ".yaml", ".yml"}:
        try:
            return json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as error:
            message = f"{path} holds no JSON Schema ({type(error).__name__}): give JSON or YAML."
            raise Problem("SCHEMA_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
    instance, _, stream = reference.partition("/")
    if "@" in stream or not stream:
        return json.dumps(reference)
    request = registry_pb2.DiscoverInstanceRequest(instance_id=instance_id(mesh, instance))
    for found in pages(mesh.registry.DiscoverInstance, request, "streams"):
        if found.stream == stream:
            return found.json_schema or "{}"
    message = f"{instance} has no stream {stream}: `isthmus discover {instance}` lists what it has."
    raise Problem("STREAM_UNKNOWN", message, exit_code=ExitCode.USAGE)


def _document(answer: suggestions_pb2.SuggestMappingResponse, name: str, model: str) -> str:
    """Writes a proposal as a document that can be applied, with a comment for each field."""
    lines = ["kind: Mapping", f"name: {_one(name)}", "spec:"]
    if model:
        lines.append(f"  target_schema: {_one(model)}")
    lines.append("  field_mappings:" if answer.fields else "  field_mappings: []")
    for field in answer.fields:
        lines += [f"    # {_why(field)}", f"    - {_one(json.loads(field.field_mapping))}"]
    lines += [f"  # nothing was found for {target}, which is required" for target in answer.missing_targets]
    return "\n".join(lines) + "\n"


def _why(field: suggestions_pb2.SuggestedField) -> str:
    if not field.pairs:
        return "always this value"
    reasons = "; ".join(dict.fromkeys(reason for pair in field.pairs for reason in pair.reasons))
    doubt = ", look twice" if min(pair.confidence for pair in field.pairs) < _UNSURE else ""
    return f"{field.confidence:.2f}{doubt}: {reasons}"


def _one(value: Any) -> str:
    """One value on one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()
