"""`isthmus sync` and `isthmus executions`: runs of flows."""

import uuid
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from isthmus.client.cli.context import flow_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, when, word
from isthmus.client.cli.previews import show_preview
from isthmus.client.cli.priority import Priority, priority_of
from isthmus.client.cli.progress import leg_word, watch
from isthmus.client.cli.several import ENDED_BADLY, flows_meant, names_one, run_several, start_of
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.scheduling.v1 import scheduling_pb2


def status_of(item: scheduling_pb2.Execution) -> str:
    """Gives an execution's state as a word, and the leg that a two-way flow is at."""
    state = word(scheduling_pb2.Execution.Status.Name(item.status), "STATUS_")
    if item.waiting_for_instance_id:
        return f"{state} (no room)"
    if item.is_dry_run:
        return f"{state} (dry run)"
    if item.HasField("range"):
        return f"{state} (backfill)"
    return f"{state} ({leg_word(item.leg)})" if item.leg else state


_sync = typer.Typer(help="Run flows now.", no_args_is_help=True)
_executions = typer.Typer(help="Runs of flows, past and present.", no_args_is_help=True)
_COLUMNS = (
    Column("EXECUTION", lambda item: item.execution_id),
    Column("FLOW", lambda item: item.flow_name),
    Column("STATUS", status_of),
    Column("STARTED", lambda item: when(item.start_time)),
    Column("READ", lambda item: f"{item.counts.read:,}"),
    Column("WRITTEN", lambda item: f"{item.counts.created + item.counts.updated:,}"),
    Column("UNCHANGED", lambda item: f"{item.counts.unchanged:,}"),
    Column("QUARANTINED", lambda item: f"{item.counts.quarantined:,}"),
    Column("ERROR", lambda item: item.error.message, wide=True),
)
Execution = Annotated[str, typer.Argument(help="Id of an execution.")]


def register(app: typer.Typer) -> None:
    """Adds both groups to the command line."""
    app.add_typer(_sync, name="sync")
    app.add_typer(_executions, name="executions")


@_sync.command("run")
def run(
    ctx: typer.Context,
    flow: Annotated[
        list[str] | None, typer.Argument(help="Names or ids of flows; in a name * stands for anything.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every flow that is active and not paused.")] = False,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Show progress until the execution ends.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be written, and write nothing anywhere.")
    ] = False,
    records: Annotated[
        int, typer.Option("--limit", min=0, help="For dry runs: stop reading after so many records.")
    ] = 0,
    priority: Priority = "",
    output: Output = Format.TABLE,
) -> None:
    """Starts flows now, or tells what one would do.

    Example: `isthmus sync run postgres-settings --watch`
    """
    mesh, named = mesh_of(ctx), flow or []
    if not names_one(named) or every:
        if dry_run or records:
            raise Problem("ONE_FLOW_ONLY", "Name one flow for a dry run.", exit_code=ExitCode.USAGE)
        meant = flows_meant(mesh, named, every=every)
        starts = [start_of(one, priority_of(priority)) for one in meant]
        run_several(mesh, starts, _COLUMNS, output, follow=follow)
        return
    request = start_of(flow_id(mesh, named[0]), priority_of(priority))
    request.is_dry_run, request.record_limit = dry_run, records
    execution = mesh.scheduling.StartExecution(request).execution
    if dry_run:
        show_dry_run(mesh, execution.execution_id, output)
        return
    if follow:
        execution = watch(mesh, execution.execution_id, quiet=output is not Format.TABLE)
    _show_ended(execution, output)


@_sync.command("backfill")
def backfill(
    ctx: typer.Context,
    flow: Annotated[str, typer.Argument(help="Name or id of a flow.")],
    start: Annotated[str, typer.Option("--from", help="First moment, a date or a time in ISO 8601.")],
    end: Annotated[str, typer.Option("--to", help="First moment that no longer belongs to it.")],
    zone: Annotated[
        str, typer.Option("--time-zone", help="Of dates and times that name none, for example Europe/Zurich.")
    ] = "UTC",
    field: Annotated[
        str,
        typer.Option("--field", help="Path of a record's time; by default the one that the stream names."),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be written, and write nothing anywhere.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Show progress until the execution ends.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Reads the records of a span of time again; the flow's own position stays where it is.

    Example: `isthmus sync backfill postgres-settings --from 2026-01-01 --to 2026-02-01 --field at --watch`
    """
    mesh = mesh_of(ctx)
    request = scheduling_pb2.StartExecutionRequest(
        flow_id=flow_id(mesh, flow), request_id=str(uuid.uuid4()), is_dry_run=dry_run
    )
    request.range.field = field
    request.range.start_time.FromDatetime(moment("--from", start, zone))
    request.range.end_time.FromDatetime(moment("--to", end, zone))
    execution = mesh.scheduling.StartExecution(request).execution
    if dry_run:
        show_dry_run(mesh, execution.execution_id, output)
        return
    if follow:
        execution = watch(mesh, execution.execution_id, quiet=output is not Format.TABLE)
    _show_ended(execution, output)


@_executions.command("watch")
def watch_execution(ctx: typer.Context, execution: Execution, output: Output = Format.TABLE) -> None:
    """Shows the progress of an execution until it ends.

    Example: `isthmus executions watch exe_01j9`
    """
    _show_ended(watch(mesh_of(ctx), execution, quiet=output is not Format.TABLE), output)


@_executions.command("list")
def list_executions(
    ctx: typer.Context,
    flow: Annotated[str, typer.Option("--flow", help="Only of this flow, by name or id.")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only in this state; repeatable.")
    ] = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists executions, newest first.

    Example: `isthmus executions list --flow postgres-settings --status failed`
    """
    mesh = mesh_of(ctx)
    request = scheduling_pb2.ListExecutionsRequest(
        flow_id=flow_id(mesh, flow) if flow else "", statuses=[_status(name) for name in status or []]
    )
    found = pages(mesh.scheduling.ListExecutions, request, "executions", limit)
    show(found, _COLUMNS, output, empty="Nothing has run yet: `isthmus sync run FLOW` starts a flow.")


@_executions.command("show")
def show_execution(ctx: typer.Context, execution: Execution, output: Output = Format.YAML) -> None:
    """Shows an execution with its attempts.

    Example: `isthmus executions show exe_01j9`
    """
    mesh = mesh_of(ctx)
    request = scheduling_pb2.GetExecutionRequest(execution_id=execution)
    shown = as_dict(mesh.scheduling.GetExecution(request).execution, output)
    attempts = scheduling_pb2.ListAttemptsRequest(execution_id=execution)
    shown["attempt_list"] = [
        as_dict(item, output) for item in pages(mesh.scheduling.ListAttempts, attempts, "attempts")
    ]
    emit(shown, output)


@_executions.command("cancel")
def cancel(ctx: typer.Context, execution: Execution, output: Output = Format.YAML) -> None:
    """Asks an execution to stop; what has arrived stays.

    Example: `isthmus executions cancel exe_01j9`
    """
    request = scheduling_pb2.CancelExecutionRequest(execution_id=execution)
    emit(as_dict(mesh_of(ctx).scheduling.CancelExecution(request).execution, output), output)


def moment(option: str, text: str, zone: str) -> datetime:
    """Reads a date or a time; one that names no zone is of the zone given.

    Raises:
        Problem: it is none, or there is no such zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{option} {text} is no time: write 2026-01-01 or 2026-01-01T08:00:00+01:00."
        raise Problem("TIME_INVALID", message, exit_code=ExitCode.USAGE) from error
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{zone} is no time zone: use an IANA name, for example Europe/Zurich."
        raise Problem("TIME_ZONE_UNKNOWN", message, exit_code=ExitCode.USAGE) from error
    return (found if found.tzinfo else found.replace(tzinfo=known)).astimezone(UTC)


def _status(name: str) -> scheduling_pb2.Execution.Status.ValueType:
    try:
        return scheduling_pb2.Execution.Status.Value(f"STATUS_{name.upper()}")
    except ValueError as error:
        raise Problem(
            "STATUS_UNKNOWN",
            f"{name} is no state: use pending, running, paused, completed, failed or cancelled.",
            exit_code=ExitCode.USAGE,
        ) from error


def show_dry_run(mesh: Mesh, execution_id: str, output: Format) -> None:
    """Waits for a dry run and shows what it has found.

    Raises:
        typer.Exit: it failed.
    """
    ended = watch(mesh, execution_id, quiet=output is not Format.TABLE)
    if ended.status == scheduling_pb2.Execution.STATUS_COMPLETED:
        request = scheduling_pb2.GetExecutionRequest(execution_id=execution_id)
        ended = mesh.scheduling.GetExecution(request).execution
        if output is Format.TABLE:
            show_preview(ended)
            return
    _show_ended(ended, output)


def _show_ended(execution: scheduling_pb2.Execution, output: Format) -> None:
    if output is Format.TABLE:
        show([execution], _COLUMNS, output, empty="")
        if execution.note:
            note(execution.note)
    else:
        emit(as_dict(execution, output), output)
    if execution.status in ENDED_BADLY:
        raise typer.Exit(ExitCode.FAILED)
