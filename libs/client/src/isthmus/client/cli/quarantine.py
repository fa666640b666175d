"""`isthmus quarantine`: records that wait for a decision."""

import base64
import binascii
import uuid
from contextlib import suppress
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import flow_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, show, when, word
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.records.v1 import records_pb2


def _why(item: records_pb2.QuarantinedRecord) -> str:
    return "; ".join(f"{reason.target_path or 'record'}: {reason.message}" for reason in item.reasons)


_group = typer.Typer(help="Records that could not be mapped or delivered.", no_args_is_help=True)
_COLUMNS = (
    Column("ID", lambda item: item.quarantine_id),
    Column("STAGE", lambda item: word(records_pb2.QuarantinedRecord.Stage.Name(item.stage), "STAGE_")),
    Column("STATUS", lambda item: word(records_pb2.QuarantinedRecord.Status.Name(item.status), "STATUS_")),
    Column("SINCE", lambda item: when(item.create_time)),
    Column("WHY", _why, wide=True),
)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of quarantined records.")]
Flow = Annotated[str, typer.Option("--flow", help="All that wait in this flow, by name or id.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="quarantine")


@_group.command("list")
def list_quarantine(
    ctx: typer.Context,
    flow: Annotated[str, typer.Option("--flow", help="Only of this flow, by name or id.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Only with this reason.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Delivered and dropped records too.")] = False,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists quarantined records, oldest first.

    Example: `isthmus quarantine list --flow postgres-settings`
    """
    mesh = mesh_of(ctx)
    request = records_pb2.ListQuarantineRequest(
        flow_id=flow_id(mesh, flow) if flow else "",
        reason=reason,
        statuses=[number for number in records_pb2.QuarantinedRecord.Status.values() if number]
        if everything
        else [],
    )
    found = pages(mesh.records.ListQuarantine, request, "records", limit)
    show(found, _COLUMNS, output, empty="Nothing is in quarantine.")


@_group.command("show")
def show_quarantined(
    ctx: typer.Context,
    quarantine_id: Annotated[str, typer.Argument(help="Id of a quarantined record.")],
    values: Annotated[
        bool, typer.Option("--values", help="With confidential, personal and secret values; is recorded.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Shows a quarantined record with its reasons; placeholders stand for sensitive values.

    What is no JSON is shown as `record_text`, bytes that are no text escaped; `record` is base64 then.

    Example: `isthmus quarantine show qrn_01j9`
    """
    mesh = mesh_of(ctx)
    request = records_pb2.GetQuarantinedRequest(quarantine_id=quarantine_id)
    kept = mesh.records.GetQuarantined(request).record
    if (kept.is_scrubbed and values) or (not kept.record and kept.record_bytes):
        kept.record = _whole(mesh, quarantine_id)
        kept.is_scrubbed = False
    form = Format.YAML if output is Format.TABLE else output
    emit(_shown(kept, form), form)


@_group.command("requeue")
def requeue(ctx: typer.Context, ids: Ids = None, flow: Flow = "", output: Output = Format.YAML) -> None:
    """Sends quarantined records through their flow again, with its present mapping.

    Example: `isthmus quarantine requeue --flow postgres-settings`
    """
    mesh = mesh_of(ctx)
    chosen, chosen_flow = _selection(mesh, ids, flow)
    request = records_pb2.RequeueQuarantinedRequest(
        quarantine_ids=chosen, flow_id=chosen_flow, request_id=str(uuid.uuid4())
    )
    emit({"requeued": mesh.records.RequeueQuarantined(request).requeued}, output)


@_group.command("drop")
def drop(ctx: typer.Context, ids: Ids = None, flow: Flow = "", output: Output = Format.YAML) -> None:
    """Gives quarantined records up; they stay visible as dropped.

    Example: `isthmus quarantine drop qrn_01j9`
    """
    mesh = mesh_of(ctx)
    chosen, chosen_flow = _selection(mesh, ids, flow)
    request = records_pb2.DropQuarantinedRequest(quarantine_ids=chosen, flow_id=chosen_flow)
    emit({"dropped": mesh.records.DropQuarantined(request).dropped}, output)


def _whole(mesh: Mesh, quarantine_id: str) -> str:
    """The text of a large record."""
    request = records_pb2.ReadQuarantinedRequest(quarantine_id=quarantine_id)
    return b"".join(answer.piece for answer in mesh.records.ReadQuarantined(request)).decode()


def _shown(kept: records_pb2.QuarantinedRecord, output: Format) -> dict[str, Any]:
    found = as_dict(kept, output)
    if kept.is_binary:
        with suppress(binascii.Error):
            packed = base64.b64decode(kept.record, validate=True)
            found["record_text"] = packed.decode(errors="backslashreplace")
    return found


def _selection(mesh: Mesh, ids: list[str] | None, flow: str) -> tuple[list[str], str]:
    if not ids and not flow:
        raise Problem(
            "SELECTION_EMPTY", "Say which records: give ids, or --flow NAME.", exit_code=ExitCode.USAGE
        )
    return ids or [], flow_id(mesh, flow) if flow else ""
