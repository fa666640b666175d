"""`isthmus flows` and `isthmus schedules`: what moves, and when."""

from typing import Annotated, Any

import typer
from isthmus.client.cli.context import flow_id, flow_names, instance_names, mesh_of, plan_names
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, show, show_one, when
from isthmus.client.mesh import pages
from isthmus.records.v1 import links_pb2
from isthmus.scheduling.v1 import scheduling_pb2


def _rule(item: scheduling_pb2.Schedule) -> str:
    if item.interval_minutes:
        return f"every {item.interval_minutes} min"
    return f"{item.cron_expression or item.event_trigger} {item.time_zone}".strip()


def _skip(item: scheduling_pb2.Schedule) -> str:
    return f"{when(item.last_skip_time)} {item.last_skip_reason}" if item.last_skip_reason else "-"


def _named(name: str, names: dict[str, str]) -> str:
    return names.get(name, name)


_flows = typer.Typer(help="What moves: source stream, mapping, destination stream.", no_args_is_help=True)
_schedules = typer.Typer(help="When flows and plans run.", no_args_is_help=True)
_WAYS = {scheduling_pb2.DIRECTION_REVERSE: "<-", scheduling_pb2.DIRECTION_BOTH: "<->"}
Flow = Annotated[str, typer.Argument(help="Name or id of a flow.")]


def register(app: typer.Typer) -> None:
    """Adds both groups to the command line."""
    app.add_typer(_flows, name="flows")
    app.add_typer(_schedules, name="schedules")


@_flows.command("list")
def list_flows(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists flows.

    Example: `isthmus flows list`
    """
    mesh = mesh_of(ctx)
    names = instance_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("FLOW", lambda item: item.name),
        Column("FROM", lambda item: _place(item.source, names)),
        Column("WAY", lambda item: _WAYS.get(item.direction, "->")),
        Column("TO", lambda item: _place(item.destination, names)),
        Column("ACTIVE", lambda item: "paused" if item.is_paused else "yes" if item.is_active else "no"),
        Column("ID", lambda item: item.flow_id),
    )
    found = pages(mesh.scheduling.ListFlows, scheduling_pb2.ListFlowsRequest(), "flows", limit)
    show(found, columns, output, empty="There is no flow yet: `isthmus apply -f FILE` creates one.")


@_flows.command("show")
def show_flow(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Shows a flow.

    Example: `isthmus flows show postgres-settings`
    """
    mesh = mesh_of(ctx)
    show_one(mesh.scheduling.GetFlow(scheduling_pb2.GetFlowRequest(flow_id=flow_id(mesh, flow))).flow, output)


@_flows.command("reset")
def reset(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Forgets how far a flow has come, so that its next execution starts from the beginning.

    Example: `isthmus flows reset postgres-settings`
    """
    mesh = mesh_of(ctx)
    answer = mesh.scheduling.ResetFlow(scheduling_pb2.ResetFlowRequest(flow_id=flow_id(mesh, flow)))
    emit({"checkpoints_forgotten": answer.checkpoints}, output)


@_flows.command("pause")
def pause(
    ctx: typer.Context,
    flow: Flow,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who wonder.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Stops a flow for a while: what is at work stops at its next position, and nothing starts.

    Example: `isthmus flows pause postgres-settings --reason "until the migration is over"`
    """
    mesh = mesh_of(ctx)
    request = scheduling_pb2.PauseFlowRequest(flow_id=flow_id(mesh, flow), reason=reason)
    emit(as_dict(mesh.scheduling.PauseFlow(request), output), output)


@_flows.command("resume")
def resume(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Lets a paused flow go on, from where it stopped.

    Example: `isthmus flows resume postgres-settings`
    """
    mesh = mesh_of(ctx)
    request = scheduling_pb2.ResumeFlowRequest(flow_id=flow_id(mesh, flow))
    emit(as_dict(mesh.scheduling.ResumeFlow(request), output), output)


@_flows.command("delete")
def delete(
    ctx: typer.Context,
    flow: Flow,
    forget_links: Annotated[
        bool, typer.Option("--forget-links", help="Forget too what it has created in systems that number it.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Deletes a flow with its schedules; the history of its executions stays, and for a year its links.

    Example: `isthmus flows delete nats-tls`
    """
    mesh = mesh_of(ctx)
    found = flow_id(mesh, flow)
    mesh.scheduling.DeleteFlow(scheduling_pb2.DeleteFlowRequest(flow_id=found))
    told: dict[str, Any] = {"deleted": found}
    if forget_links:
        request = links_pb2.DeleteLinksRequest(flow_id=found, all=True)
        told["links_forgotten"] = mesh.links.DeleteLinks(request).deleted
    emit(told, output)


@_schedules.command("list")
def list_schedules(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists schedules with their next times, and what holds them up.

    Example: `isthmus schedules list`
    """
    mesh = mesh_of(ctx)
    names = flow_names(mesh) | plan_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("STARTS", lambda item: _named(item.flow_id or item.plan_id, names)),
        Column("WHEN", _rule),
        Column("NEXT", lambda item: when(item.next_execution_time)),
        Column("LAST", lambda item: when(item.last_execution_time)),
        Column("ACTIVE", lambda item: "yes" if item.is_active else "no"),
        Column("HELD BY", lambda item: item.hold_reason),
        Column("LAST SKIPPED", _skip),
        Column("ID", lambda item: item.schedule_id),
    )
    found = pages(mesh.scheduling.ListSchedules, scheduling_pb2.ListSchedulesRequest(), "schedules", limit)
    show(found, columns, output, empty="Nothing is scheduled: add `schedules` to a flow's document.")


def _place(end: scheduling_pb2.Endpoint, names: dict[str, str]) -> str:
    return f"{names.get(end.instance_id, end.instance_id)}/{end.stream}"
