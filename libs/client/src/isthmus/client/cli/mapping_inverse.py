"""`isthmus mappings invert`: the way back of a mapping."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import mapping_id, mesh_of
from isthmus.client.cli.mappings import Mapping, Version, group, samples_in
from isthmus.client.cli.output import Format, Output, emit, note, show_one, show_table, word
from isthmus.client.problem import ExitCode
from isthmus.mapping.v1 import inverses_pb2

Samples = Annotated[
    Path | None,
    typer.Option("--samples", help="Records of the source: JSON array, JSON Lines or YAML list."),
]


def register(app: typer.Typer) -> None:
    """Has the command of this module beside the others of `isthmus mappings`."""


@group.command("invert")
def invert(
    ctx: typer.Context,
    mapping: Mapping,
    version: Version = 0,
    samples: Samples = None,
    output: Output = Format.YAML,
) -> None:
    """Prints the mapping that leads back as YAML, and which fields have no way back and why.

    Ends with 1 when no field leads back. Records given with --samples are mapped there, back and there again.

    Example: `isthmus mappings invert posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = inverses_pb2.DeriveInverseMappingRequest(
        mapping_id=mapping_id(mesh, mapping), version=version, samples=samples_in(samples) if samples else []
    )
    answer = mesh.mapping.DeriveInverseMapping(request)
    if output is Format.TABLE:
        _show_table(answer)
    elif output is Format.YAML:
        emit(_definition(answer), output)
        _tell(answer)
    else:
        show_one(answer, output)
    if not answer.field_mappings:
        raise typer.Exit(ExitCode.FAILED)


def _definition(answer: inverses_pb2.DeriveInverseMappingResponse) -> dict[str, Any]:
    parts = ("source_schema", "target_schema", "field_mappings", "transformations")
    found = {name: json.loads(getattr(answer, name)) for name in parts if getattr(answer, name)}
    return {"version": "isthmus/v1", **{name: value for name, value in found.items() if value}}


def _tell(answer: inverses_pb2.DeriveInverseMappingResponse) -> None:
    for loss in answer.losses:
        note(f"{'lost' if loss.is_lost else 'left out'}: {loss.target or 'a rule'}: {loss.message}")
    for path in answer.respelled_fields:
        note(f"respelled: {path}")
    for number, trip in enumerate(answer.round_trips, 1):
        verdict = word(inverses_pb2.RoundTrip.Verdict.Name(trip.verdict), "VERDICT_")
        note(f"sample {number}: {verdict} {trip.message or ', '.join(trip.paths)}".rstrip())


def _show_table(answer: inverses_pb2.DeriveInverseMappingResponse) -> None:
    made = json.loads(answer.field_mappings or "[]")
    rows = [[_source(field), field["target"], "comes back"] for field in made]
    rows += [
        [
            loss.target or "a rule",
            ", ".join(loss.sources),
            f"{'LOST' if loss.is_lost else 'left out'}: {loss.message}",
        ]
        for loss in answer.losses
    ]
    show_table(["TARGET", "SOURCE", "WAY BACK"], rows, wide=True)


def _source(field: dict[str, Any]) -> str:
    return str(field["source"] if "source" in field else field["items"]["source"])
