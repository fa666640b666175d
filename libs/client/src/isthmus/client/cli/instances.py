"""`isthmus instances`, `check` and `discover`: configured connections."""

from typing import Annotated

import typer
from isthmus.client.cli.context import instance_id, mesh_of
from isthmus.client.cli.output import (
    Column,
    Format,
    Limit,
    Output,
    as_dict,
    emit,
    note,
    show,
    show_one,
    show_table,
    when,
    word,
)
from isthmus.client.cli.progress import one_by_one, waiting
from isthmus.client.mesh import pages
from isthmus.client.problem import ExitCode
from isthmus.connector.v1 import connector_pb2
from isthmus.registry.v1 import registry_pb2
from isthmus.type.v1 import privacy_pb2
from rich.console import Console


def _status(item: registry_pb2.IntegrationInstance) -> str:
    return word(registry_pb2.IntegrationInstance.Status.Name(item.status), "STATUS_")


_group = typer.Typer(help="Configured connections to external systems.", no_args_is_help=True)
Instance = Annotated[str, typer.Argument(help="Name or id of an instance.")]
_COLUMNS = (
    Column("INSTANCE", lambda item: item.name),
    Column("CONNECTOR", lambda item: item.connector_id),
    Column("STATUS", _status),
    Column("LAST CONNECTED", lambda item: when(item.last_connected_time)),
    Column("ID", lambda item: item.instance_id),
    Column("ERROR", lambda item: item.error_message, wide=True),
)
_MARKS = {
    connector_pb2.CheckStep.RESULT_PASSED: "[green]passed[/green]",
    connector_pb2.CheckStep.RESULT_WARNING: "[yellow]warning[/yellow]",
    connector_pb2.CheckStep.RESULT_FAILED: "[red]failed[/red]",
    connector_pb2.CheckStep.RESULT_SKIPPED: "[dim]skipped[/dim]",
}


def register(app: typer.Typer) -> None:
    """Adds the group and the two commands to the command line."""
    app.add_typer(_group, name="instances")
    app.command("check")(check)
    app.command("discover")(discover)


@_group.command("list")
def list_instances(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists instances.

    Example: `isthmus instances list`
    """
    found = pages(
        mesh_of(ctx).registry.ListInstances, registry_pb2.ListInstancesRequest(), "instances", limit
    )
    show(found, _COLUMNS, output, empty="There is no instance yet: `isthmus apply -f FILE` creates one.")


@_group.command("show")
def show_instance(ctx: typer.Context, instance: Instance, output: Output = Format.YAML) -> None:
    """Shows an instance with its configuration.

    Example: `isthmus instances show own-nats`
    """
    mesh = mesh_of(ctx)
    request = registry_pb2.GetInstanceRequest(instance_id=instance_id(mesh, instance))
    show_one(mesh.registry.GetInstance(request).instance, output)


@_group.command("activate")
def activate(ctx: typer.Context, instance: Instance, output: Output = Format.TABLE) -> None:
    """Checks an instance and lets its flows run.

    Example: `isthmus instances activate own-nats`
    """
    mesh = mesh_of(ctx)
    request = registry_pb2.ActivateInstanceRequest(instance_id=instance_id(mesh, instance))
    with waiting("checking …"):
        answer = mesh.registry.ActivateInstance(request)
    _show_steps(list(answer.steps), output)
    if answer.instance.status != registry_pb2.IntegrationInstance.STATUS_ACTIVE:
        raise typer.Exit(ExitCode.FAILED)


@_group.command("deactivate")
def deactivate(ctx: typer.Context, instance: Instance, output: Output = Format.YAML) -> None:
    """Keeps an instance's flows from starting.

    Example: `isthmus instances deactivate own-openbao`
    """
    mesh = mesh_of(ctx)
    request = registry_pb2.DeactivateInstanceRequest(instance_id=instance_id(mesh, instance))
    show_one(mesh.registry.DeactivateInstance(request).instance, output)


@_group.command("delete")
def delete(ctx: typer.Context, instance: Instance, output: Output = Format.YAML) -> None:
    """Deletes an instance that is not active.

    Example: `isthmus instances delete own-openbao`
    """
    mesh = mesh_of(ctx)
    found = instance_id(mesh, instance)
    mesh.registry.DeleteInstance(registry_pb2.DeleteInstanceRequest(instance_id=found))
    emit({"deleted": found}, output)


@_group.command("history")
def history(ctx: typer.Context, instance: Instance, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the revisions of an instance's configuration, newest first.

    Example: `isthmus instances history own-nats`
    """
    columns = (
        Column("REVISION", lambda item: str(item.revision)),
        Column("WHEN", lambda item: when(item.create_time)),
        Column("BY", lambda item: item.created_by),
        Column("ROLLED BACK TO", lambda item: str(item.rolled_back_to or "-")),
    )
    mesh = mesh_of(ctx)
    request = registry_pb2.ListConfigurationRevisionsRequest(instance_id=instance_id(mesh, instance))
    found = pages(mesh.registry.ListConfigurationRevisions, request, "revisions", limit)
    show(found, columns, output, empty="There is no revision.")


@_group.command("diff")
def diff(
    ctx: typer.Context,
    instance: Instance,
    from_revision: Annotated[
        int, typer.Option("--from", help="Older revision; the one before when not given.")
    ] = 0,
    to_revision: Annotated[
        int, typer.Option("--to", help="Newer revision; the present one when not given.")
    ] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Shows what differs between two revisions of a configuration.

    Example: `isthmus instances diff own-nats`
    """
    columns = (
        Column("PATH", lambda item: item.path),
        Column("BEFORE", lambda item: item.before, wide=True),
        Column("AFTER", lambda item: item.after, wide=True),
    )
    mesh = mesh_of(ctx)
    request = registry_pb2.DiffConfigurationRequest(
        instance_id=instance_id(mesh, instance), from_revision=from_revision, to_revision=to_revision
    )
    show(mesh.registry.DiffConfiguration(request).changes, columns, output, empty="Nothing differs.")


@_group.command("rollback")
def rollback(
    ctx: typer.Context,
    instance: Instance,
    revision: Annotated[int, typer.Argument(help="The revision to go back to.")],
    output: Output = Format.YAML,
) -> None:
    """Makes an older revision the newest one.

    Example: `isthmus instances rollback own-nats 1`
    """
    mesh = mesh_of(ctx)
    request = registry_pb2.RollBackConfigurationRequest(
        instance_id=instance_id(mesh, instance), revision=revision
    )
    show_one(mesh.registry.RollBackConfiguration(request).instance, output)


def check(ctx: typer.Context, instance: Instance, output: Output = Format.TABLE) -> None:
    """Tries an instance step by step and says what to do about what fails.

    Example: `isthmus check own-nats`
    """
    mesh = mesh_of(ctx)
    request = registry_pb2.CheckInstanceRequest(instance_id=instance_id(mesh, instance))
    steps = []
    for answer in one_by_one(mesh.registry.CheckInstance(request), "checking …"):
        steps.append(answer.step)
        if output is Format.TABLE:
            _show_step(answer.step)
    if output is not Format.TABLE:
        emit([as_dict(step, output) for step in steps], output)
    if any(step.result == connector_pb2.CheckStep.RESULT_FAILED for step in steps):
        raise typer.Exit(ExitCode.FAILED)


def discover(
    ctx: typer.Context,
    instance: Instance,
    classes: Annotated[
        bool, typer.Option("--classes", help="How sensitive fields are, and what their names suggest.")
    ] = False,
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists the streams that an instance offers; with `--classes` how sensitive their fields are.

    Example: `isthmus discover hub`
    """
    columns = (
        Column("STREAM", lambda item: item.stream),
        Column("KEY", lambda item: ", ".join(item.primary_key) or "-"),
        Column("CURSOR", lambda item: item.cursor_field or "-"),
        Column("READ", lambda item: _modes(connector_pb2.ReadMode, item.read_modes, "READ_MODE_")),
        Column("WRITE", lambda item: _modes(connector_pb2.WriteMode, item.write_modes, "WRITE_MODE_")),
        Column("IS", lambda item: item.description, wide=True),
    )
    mesh = mesh_of(ctx)
    request = registry_pb2.DiscoverInstanceRequest(instance_id=instance_id(mesh, instance))
    with waiting("asking the system …"):
        found = list(pages(mesh.registry.DiscoverInstance, request, "streams", limit))
    if classes and output is Format.TABLE:
        _show_classes(found)
        return
    show(found, columns, output, empty="The instance offers no stream.")


def _show_classes(streams: list[connector_pb2.StreamSpec]) -> None:
    rows = [
        [stream.stream, field.path, word(privacy_pb2.DataClass.Name(field.data_class), "DATA_CLASS_"), how]
        for stream in streams
        for how, fields in (("declared", stream.field_classes), ("proposed", stream.proposed_classes))
        for field in fields
    ]
    if rows:
        show_table(["STREAM", "FIELD", "CLASS", "IS"], rows)
    else:
        note("No field has a class, and no name suggests one: all count as internal.")


def _modes(enum: object, values: object, prefix: str) -> str:
    return ", ".join(word(enum.Name(value), prefix) for value in values) or "-"  # type: ignore[attr-defined]


def _show_steps(steps: list[connector_pb2.CheckStep], output: Format) -> None:
    if output is not Format.TABLE:
        emit([as_dict(step, output) for step in steps], output)
        return
    for step in steps:
        _show_step(step)


def _show_step(step: connector_pb2.CheckStep) -> None:
    console = Console(highlight=False, soft_wrap=True)
    detail = " ".join(filter(None, (step.message, step.remedy))).replace("[", "\\[")
    console.print(f"{step.step:<14} {_MARKS.get(step.result, 'unknown')}  {detail}")
