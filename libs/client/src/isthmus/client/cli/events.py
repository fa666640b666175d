"""`isthmus events`: what happens in the mesh."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, when
from isthmus.client.mesh import pages
from isthmus.client.problem import Problem
from isthmus.events.v1 import events_pb2

_group = typer.Typer(help="What happens in the mesh.", no_args_is_help=True)
_subscribers = typer.Typer(help="Programs that take events from NATS itself.", no_args_is_help=True)
_COLUMNS = (
    Column("TIME", lambda item: when(item.time)),
    Column("TYPE", lambda item: item.type),
    Column("SUBJECT", lambda item: item.subject),
    Column("ID", lambda item: item.event_id),
)
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only this type; `*` at the end; repeatable.")
]
Subject = Annotated[str, typer.Option("--subject", help="Only about this.")]
Since = Annotated[float, typer.Option("--since", min=0, help="Begin this many minutes ago.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="events")
    _group.add_typer(_subscribers, name="subscriber")


@_group.command("tail")
def tail(
    ctx: typer.Context,
    types: Types = None,
    subject: Subject = "",
    since: Since = 0,
    count: Annotated[int, typer.Option("--count", min=0, help="End after this many; 0 means never.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Shows events as they happen, until interrupted.

    Example: `isthmus events tail --type 'isthmus.scheduling.*' --since 60 --count 1`
    """
    request = events_pb2.TailEventsRequest(filter=_filter(types, subject, since))
    stream = mesh_of(ctx).events.TailEvents(request)
    for number, answer in enumerate(stream, start=1):
        typer.echo(_line(answer.event, output))
        if number == count:
            stream.cancel()
            return


@_group.command("list")
def list_events(
    ctx: typer.Context,
    types: Types = None,
    subject: Subject = "",
    since: Since = 0,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists events, newest first.

    Example: `isthmus events list --type 'isthmus.scheduling.sync.*'`
    """
    request = events_pb2.ListEventsRequest(filter=_filter(types, subject, since))
    show(
        pages(mesh_of(ctx).events.ListEvents, request, "events", limit),
        _COLUMNS,
        output,
        empty="No event matches." if types or subject or since else "No event yet.",
    )


@_group.command("types")
def list_types(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the types of events that the mesh publishes.

    Example: `isthmus events types`
    """
    columns = (
        Column("TYPE", lambda item: item.type),
        Column("SUBJECT", lambda item: item.nats_subject),
        Column("WHEN", lambda item: item.description, wide=True),
    )
    request = events_pb2.ListEventTypesRequest()
    show(
        pages(mesh_of(ctx).events.ListEventTypes, request, "event_types", limit),
        columns,
        output,
        empty="None.",
    )


@_subscribers.command("create")
def create_subscriber(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for; unique inside the tenant.")],
    output: Output = Format.YAML,
) -> None:
    """Makes a user of NATS that hears the tenant's events, and shows its password this once.

    Example: `isthmus events subscriber create siem`
    """
    request = events_pb2.CreateSubscriberRequest(name=name, request_id=str(uuid.uuid4()))
    answer = mesh_of(ctx).events.CreateSubscriber(request)
    emit({**as_dict(answer.subscriber, output), "password": answer.password}, output)
    note("Keep the password: it is not shown again.")


@_subscribers.command("list")
def list_subscribers(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists subscribers; their passwords are never shown again.

    Example: `isthmus events subscriber list`
    """
    columns = (
        Column("NAME", lambda item: item.name),
        Column("CREATED", lambda item: when(item.create_time)),
        Column("BY", lambda item: item.created_by, wide=True),
        Column("ID", lambda item: item.subscriber_id),
    )
    request = events_pb2.ListSubscribersRequest()
    found = pages(mesh_of(ctx).events.ListSubscribers, request, "subscribers", limit)
    show(found, columns, output, empty="There is none.")


@_subscribers.command("delete")
def delete_subscriber(
    ctx: typer.Context,
    subscriber: Annotated[str, typer.Argument(help="Name or id of a subscriber.")],
    output: Output = Format.YAML,
) -> None:
    """Deletes a subscriber and ends its connections at once.

    Example: `isthmus events subscriber delete siem`
    """
    mesh = mesh_of(ctx)
    found = pages(mesh.events.ListSubscribers, events_pb2.ListSubscribersRequest(), "subscribers", 0)
    wanted = next((one for one in found if subscriber in {one.name, one.subscriber_id}), None)
    if wanted is None:
        message = (
            f"There is no subscriber {subscriber}; `isthmus events subscriber list` shows what there is."
        )
        raise Problem("SUBSCRIBER_UNKNOWN", message)
    mesh.events.DeleteSubscriber(events_pb2.DeleteSubscriberRequest(subscriber_id=wanted.subscriber_id))
    emit({"subscriber_id": wanted.subscriber_id, "deleted": True}, output)


def _filter(types: list[str] | None, subject: str, since: float) -> events_pb2.EventFilter:
    wanted = events_pb2.EventFilter(types=types or [], subject=subject)
    if since:
        wanted.start_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=since))
    return wanted


def _line(event: events_pb2.Event, output: Format) -> str:
    if output is Format.TABLE:
        return f"{when(event.time)}  {event.type}  {event.subject}"
    return json.dumps(as_dict(event, output), ensure_ascii=False)
