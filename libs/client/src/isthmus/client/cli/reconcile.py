"""`isthmus reconcile`: what both sides of a flow hold, compared, and made equal on request."""

import time
import uuid
from typing import Annotated

import grpc
import typer
from isthmus.client.cli.context import flow_id, mesh_of
from isthmus.client.cli.output import (
    Column,
    Format,
    Limit,
    Output,
    note,
    show,
    show_one,
    show_table,
    when,
    word,
)
from isthmus.client.cli.progress import watch
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.records.v1 import reconciliation_pb2
from isthmus.scheduling.v1 import scheduling_pb2

_reconcile = typer.Typer(help="Compare both sides of a flow, and repair.", no_args_is_help=True)
_Report = reconciliation_pb2.Reconciliation
_CLOSE_SECONDS = 60.0
# A report comes into being, and is closed, a moment after its execution.
_PASSING = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE})


def _count(name: str) -> Column:
    def text(item: _Report) -> str:
        return f"{getattr(item, name):,}" if item.is_compared else "-"

    return Column(name.upper(), text)


_COLUMNS = (
    Column("REPORT", lambda item: item.report_id),
    Column("FLOW", lambda item: item.flow_name),
    Column("STATUS", lambda item: word(_Report.Status.Name(item.status), "STATUS_")),
    Column("STARTED", lambda item: when(item.create_time)),
    *map(_count, ("equal", "missing", "different", "extra", "unrelated", "unreadable")),
    Column("REPAIRED", lambda item: f"{item.repaired:,}" if item.repair else "-"),
    Column("REMOVED", lambda item: f"{item.removed:,}" if item.delete_extra else "-"),
    Column("ERROR", lambda item: item.error_message, wide=True),
)


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_reconcile, name="reconcile")


@_reconcile.command("run")
def run(
    ctx: typer.Context,
    flow: Annotated[str, typer.Argument(help="Name or id of a flow.")],
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Show progress, and the report in the end.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write missing and different records again.")
    ] = False,
    delete_extra: Annotated[
        bool, typer.Option("--delete-extra", help="With --repair: remove what only the destination has.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Compares what both sides of a flow hold; writes nothing unless told to repair.

    Example: `isthmus reconcile run postgres-settings --watch`
    """
    mesh = mesh_of(ctx)
    if delete_extra and not repair:
        message = "Extra records are removed by a repair: add --repair, or leave --delete-extra out."
        raise Problem("REPAIR_MISSING", message, exit_code=ExitCode.USAGE)
    request = scheduling_pb2.StartExecutionRequest(
        flow_id=flow_id(mesh, flow),
        request_id=str(uuid.uuid4()),
        reconcile=scheduling_pb2.ReconcileOptions(repair=repair, delete_extra=delete_extra),
    )
    execution = mesh.scheduling.StartExecution(request).execution
    report = _Report(
        report_id=execution.execution_id,
        flow_id=execution.flow_id,
        flow_name=execution.flow_name,
        status=_Report.STATUS_RUNNING,
        repair=repair,
        delete_extra=delete_extra,
        create_time=execution.create_time,
    )
    if follow:
        watch(mesh, execution.execution_id, quiet=output is not Format.TABLE)
        report = _closed(mesh, execution.execution_id)
    _show(report, output)
    if report.status in {_Report.STATUS_FAILED, _Report.STATUS_CANCELLED}:
        raise typer.Exit(ExitCode.FAILED)


@_reconcile.command("list")
def list_reports(
    ctx: typer.Context,
    flow: Annotated[str, typer.Option("--flow", help="Only of this flow, by name or id.")] = "",
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists reports, newest first.

    Example: `isthmus reconcile list --flow postgres-settings`
    """
    mesh = mesh_of(ctx)
    request = reconciliation_pb2.ListReconciliationsRequest(flow_id=flow_id(mesh, flow) if flow else "")
    found = pages(mesh.reconciliations.ListReconciliations, request, "reconciliations", limit)
    show(found, _COLUMNS, output, empty="Nothing was reconciled yet: `isthmus reconcile run FLOW` does it.")


@_reconcile.command("show")
def show_report(
    ctx: typer.Context,
    report: Annotated[str, typer.Argument(help="Id of a report, which is its execution's.")],
    output: Output = Format.YAML,
) -> None:
    """Shows a report with a few records of each kind.

    Example: `isthmus reconcile show exe_01j9`
    """
    mesh = mesh_of(ctx)
    request = reconciliation_pb2.GetReconciliationRequest(report_id=report)
    _show(mesh.reconciliations.GetReconciliation(request).reconciliation, output)


def _show(report: _Report, output: Format) -> None:
    if output is not Format.TABLE:
        show_one(report, output)
        return
    show([report], _COLUMNS, output, empty="")
    rows = [
        [
            word(reconciliation_pb2.DifferenceSample.Kind.Name(one.kind), "KIND_"),
            one.key.replace("\x1f", " "),
            one.destination_key.replace("\x1f", " ") or "-",
            ", ".join(one.fields) or "-",
        ]
        for one in report.samples
    ]
    if rows:
        note("For example:")
        show_table(["KIND", "KEY", "DESTINATION KEY", "FIELDS"], rows)


def _closed(mesh: Mesh, report_id: str) -> _Report:
    """Waits for the report of an execution that has ended; it is closed a moment later."""
    request = reconciliation_pb2.GetReconciliationRequest(report_id=report_id)
    until = time.monotonic() + _CLOSE_SECONDS
    while True:
        try:
            report = mesh.reconciliations.GetReconciliation(request).reconciliation
            if report.status != _Report.STATUS_RUNNING:
                return report
        except grpc.RpcError as error:
            passes = isinstance(error, grpc.Call) and error.code() in _PASSING
            if not passes or time.monotonic() > until:
                raise
        if time.monotonic() > until:
            message = f"The report is not closed yet: look at it with `isthmus reconcile show {report_id}`."
            raise Problem("REPORT_OPEN", message, exit_code=ExitCode.FAILED)
        time.sleep(0.1)
