"""`isthmus mappings preview`: what a mapping makes of real records."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import instance_id, mapping_id, mesh_of
from isthmus.client.cli.mapping_suggestions import show_lineage
from isthmus.client.cli.mappings import Mapping, Version, group, samples_in
from isthmus.client.cli.output import Format, Output, as_dict, emit, note, show_table, word
from isthmus.client.problem import ExitCode, Problem
from isthmus.mapping.v1 import mapping_pb2, previews_pb2

_LONGEST_VALUE = 100
_Result = mapping_pb2.SampleResult


def register(app: typer.Typer) -> None:
    """Has the command of this module beside the others of `isthmus mappings`."""


@group.command("preview")
def preview(
    ctx: typer.Context,
    mapping: Mapping,
    instance: Annotated[str, typer.Option("--instance", help="Whose records are read.")] = "",
    stream: Annotated[str, typer.Option("--stream", help="Which of its streams.")] = "",
    samples: Annotated[Path | None, typer.Option("--samples", help="Records of a file instead.")] = None,
    version: Version = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many records are read.")] = 5,
    values: Annotated[
        bool, typer.Option("--values", help="Show sensitive values, too; the audit trail has it.")
    ] = False,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Show what each target field is made of, too.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Maps the first records of a stream, or given ones, and stores nothing.

    Placeholders stand for confidential, personal and secret values.

    Example: `isthmus mappings preview posture-to-ticket --instance hub --stream policy_posture`
    """
    if bool(samples) == bool(instance) or (instance and not stream):
        message = "Say whose records to map: --instance with --stream, or --samples with a file."
        raise Problem("SOURCE_MISSING", message, exit_code=ExitCode.USAGE)
    mesh = mesh_of(ctx)
    order = previews_pb2.PreviewOrder(
        mapping_id=mapping_id(mesh, mapping),
        version=version,
        instance_id=instance_id(mesh, instance) if instance else "",
        stream=stream,
        samples=samples_in(samples) if samples else (),
        limit=limit,
    )
    answer: previews_pb2.PreviewMappingResponse | previews_pb2.ReadMappingPreviewResponse
    if values:
        request = previews_pb2.ReadMappingPreviewRequest(order=order)
        answer = mesh.mapping_previews.ReadMappingPreview(request)
    else:
        answer = mesh.mapping_previews.PreviewMapping(previews_pb2.PreviewMappingRequest(order=order))
    if output is not Format.TABLE:
        emit(_plain(answer), output)
        return
    _show(list(answer.records))
    if lineage:
        typer.echo()
        show_lineage(list(answer.fields))


def _plain(answer: Any) -> dict[str, Any]:
    """The answer with records unfolded, for programs."""
    found = as_dict(answer)
    for record in found["records"]:
        record["source"] = json.loads(record["source"])
        text = record["result"]["record"]
        record["result"]["record"] = json.loads(text) if isinstance(text, str) and text else text
    return found


def _show(records: list[previews_pb2.PreviewedRecord]) -> None:
    if not records:
        note("The stream has no record.")
        return
    rows: list[list[str]] = []
    for number, one in enumerate(records, start=1):
        outcome = word(_Result.Outcome.Name(one.result.outcome), "OUTCOME_")
        told = list(_told(one.result)) or [("-", "-")]
        named = [(str(number), outcome), *[("", "")] * (len(told) - 1)]
        rows += [[*name, *cells] for name, cells in zip(named, told, strict=True)]
    show_table(["RECORD", "OUTCOME", "FIELD", "VALUE OR ERROR"], rows, wide=True)


def _told(result: mapping_pb2.SampleResult) -> list[tuple[str, str]]:
    """Field by field what came out, or what is wrong."""
    if result.errors:
        return [(error.target or error.source or "record", error.message) for error in result.errors]
    record = json.loads(result.record) if result.record else {}
    several = record if isinstance(record, list) else [record]
    return [(name, _short(value)) for one in several for name, value in one.items()]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
