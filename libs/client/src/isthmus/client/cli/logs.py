"""`isthmus logs`, `metrics` and `health`: how integrations are doing."""

from typing import Annotated

import typer
from isthmus.client.cli.context import instance_id, instance_names, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, show, when, word
from isthmus.client.mesh import pages
from isthmus.monitoring.v1 import monitoring_pb2

Instance = Annotated[str, typer.Option("--instance", help="Only about this instance, by name or id.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("logs")(logs)
    app.command("metrics")(metrics)
    app.command("health")(health)


def logs(
    ctx: typer.Context,
    instance: Instance = "",
    execution: Annotated[str, typer.Option("--execution", help="Only of this execution.")] = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Shows the integration log, newest first.

    Example: `isthmus logs --instance own-nats`
    """
    columns = (
        Column("TIME", lambda item: when(item.time)),
        Column("TYPE", lambda item: word(monitoring_pb2.IntegrationLog.Type.Name(item.type), "TYPE_")),
        Column("OPERATION", lambda item: item.operation),
        Column("EXECUTION", lambda item: item.execution_id),
        Column("MESSAGE", lambda item: item.message, wide=True),
    )
    mesh = mesh_of(ctx)
    request = monitoring_pb2.ListLogsRequest(
        instance_id=instance_id(mesh, instance) if instance else "", execution_id=execution
    )
    show(pages(mesh.monitoring.ListLogs, request, "logs", limit), columns, output, empty="No log entry yet.")


def metrics(
    ctx: typer.Context, instance: Instance = "", limit: Limit = 24, output: Output = Format.TABLE
) -> None:
    """Shows the counters of instances by hour, newest first.

    Example: `isthmus metrics --instance own-nats`
    """
    mesh = mesh_of(ctx)
    names = instance_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("INSTANCE", lambda item: names.get(item.instance_id, item.instance_id)),
        Column("HOUR", lambda item: when(item.period_start)),
        Column("AVAILABLE", lambda item: f"{item.availability_percentage:.1f} %"),
        Column("ERRORS", lambda item: f"{item.error_rate:.1%}"),
        Column("OPERATIONS", lambda item: f"{item.total_operations:,}"),
        Column("RECORDS", lambda item: f"{item.records:,}"),
        Column("CALLS", lambda item: f"{item.api_calls:,}"),
        Column("THROTTLED", lambda item: f"{item.throttling_events:,}"),
    )
    request = monitoring_pb2.ListMetricsRequest(instance_id=instance_id(mesh, instance) if instance else "")
    show(
        pages(mesh.monitoring.ListMetrics, request, "metrics", limit),
        columns,
        output,
        empty="No figures yet.",
    )


def health(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Shows how each instance is doing, and why.

    Example: `isthmus health`
    """
    mesh = mesh_of(ctx)
    names = instance_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("INSTANCE", lambda item: names.get(item.instance_id, item.instance_id)),
        Column("STATE", lambda item: word(monitoring_pb2.InstanceHealth.State.Name(item.state), "STATE_")),
        Column("WHY", lambda item: item.explanation, wide=True),
    )
    request = monitoring_pb2.GetHealthSummaryRequest()
    found = pages(mesh.monitoring.GetHealthSummary, request, "instances", limit)
    show(found, columns, output, empty="Nothing has run yet.")
