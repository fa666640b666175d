"""`isthmus schema`: what records look like, and what to do when that has changed."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import flow_id, flow_names, instance_names, mesh_of
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
    unfolded,
    when,
    word,
)
from isthmus.client.mesh import Mesh, pages
from isthmus.mapping.v1 import schemas_pb2

_group = typer.Typer(help="Schemas of streams, and changes of them.", no_args_is_help=True)
_Change = schemas_pb2.SchemaChange
_Decision = schemas_pb2.DecideSchemaChangeRequest
_Policy = schemas_pb2.SchemaPolicy
Flow = Annotated[str, typer.Argument(help="Name or id of a flow.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="schema")


@_group.command("list")
def list_schemas(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the streams that flows read, and which of them have changed so that somebody has to decide.

    Example: `isthmus schema list`
    """
    mesh = mesh_of(ctx)
    is_table = output is Format.TABLE
    flows = flow_names(mesh) if is_table else {}
    instances = instance_names(mesh) if is_table else {}
    opened = {one.change_id: one for one in _changes(mesh, only_open=True)} if is_table else {}
    columns = (
        Column("FLOW", lambda item: flows.get(item.flow_id, item.flow_id)),
        Column("STREAM", lambda item: f"{instances.get(item.instance_id, item.instance_id)}/{item.stream}"),
        Column("SCHEMA", lambda item: "declared" if item.is_declared else "learnt"),
        Column("FIRST SEEN", lambda item: when(item.first_seen_time)),
        Column("STATE", lambda item: _state(opened.get(item.change_id)), wide=True),
    )
    found = pages(mesh.schemas.ListSchemas, schemas_pb2.ListSchemasRequest(), "schemas", limit)
    show(found, columns, output, empty="No flow has read anything yet: `isthmus sync run FLOW` runs one.")


@_group.command("show")
def show_schema(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Shows what a flow expects of the records it reads, its policy, and the change that waits.

    Example: `isthmus schema show postgres-settings`
    """
    mesh = mesh_of(ctx)
    found = flow_id(mesh, flow)
    form = Format.YAML if output is Format.TABLE else output
    request = schemas_pb2.ListSchemasRequest(flow_id=found)
    policy = mesh.schemas.GetSchemaPolicy(schemas_pb2.GetSchemaPolicyRequest(flow_id=found)).policy
    shown = {
        "schemas": [as_dict(one, form) for one in pages(mesh.schemas.ListSchemas, request, "schemas")],
        "policy": as_dict(policy, form),
        "open_changes": [as_dict(one, form) for one in _changes(mesh, found, only_open=True)],
    }
    emit(shown, form)


@_group.command("history")
def history(ctx: typer.Context, flow: Flow, limit: Limit = 20, output: Output = Format.TABLE) -> None:
    """Lists how the schemas that a flow reads have changed, newest first.

    Example: `isthmus schema history postgres-settings`
    """
    mesh = mesh_of(ctx)
    columns = (
        Column("WHEN", lambda item: when(item.create_time)),
        Column("STREAM", lambda item: item.stream),
        Column("HARMS", lambda item: "yes" if item.is_breaking else "no"),
        Column("STATUS", _status),
        Column("WHAT", lambda item: "; ".join(map(_line, item.differences)), wide=True),
    )
    found = _changes(mesh, flow_id(mesh, flow), limit=limit)
    show(found, columns, output, empty="Nothing has changed since the flow first ran.")


@_group.command("diff")
def diff(ctx: typer.Context, flow: Flow, output: Output = Format.TABLE) -> None:
    """Shows the newest change, place by place; JSON and YAML hold both schemas, too.

    Example: `isthmus schema diff postgres-settings`
    """
    mesh = mesh_of(ctx)
    found = flow_id(mesh, flow)
    newest = next(iter([*_changes(mesh, found, only_open=True), *_changes(mesh, found, limit=1)]), None)
    if newest is None:
        note("Nothing has changed since the flow first ran.")
        if output is not Format.TABLE:
            emit({}, output)
        return
    if output is Format.TABLE:
        rows = [_row(one) for one in newest.differences]
        show_table(["FIELD", "CHANGE", "BEFORE", "AFTER", "READ", "HARMS"], rows)
        return
    request = schemas_pb2.GetSchemaChangeRequest(change_id=newest.change_id)
    shown = as_dict(mesh.schemas.GetSchemaChange(request).change, output)
    for name in ("before_schema", "after_schema"):
        if shown.get(name):
            shown[name] = unfolded(shown[name])
    emit(shown, output)


@_group.command("accept")
def accept(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Takes the new schema as the right one; the flow's next run goes on with it.

    Example: `isthmus schema accept postgres-settings`
    """
    _decide(ctx, flow, _Decision.DECISION_ACCEPT, output)


@_group.command("quarantine")
def quarantine(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Puts records that show the change into quarantine; the flow's next run goes on with the others.

    Example: `isthmus schema quarantine postgres-settings`
    """
    _decide(ctx, flow, _Decision.DECISION_QUARANTINE, output)


@_group.command("map")
def await_mapping(ctx: typer.Context, flow: Flow, output: Output = Format.YAML) -> None:
    """Goes on once the flow has another mapping, and takes the new schema as the right one then.

    Example: `isthmus schema map postgres-settings`
    """
    _decide(ctx, flow, _Decision.DECISION_MAP, output)


@_group.command("policy")
def policy(
    ctx: typer.Context,
    flow: Flow,
    unknown_fields: Annotated[
        str, typer.Option("--unknown-fields", help="`keep` or `drop` fields that were not there at first.")
    ] = "",
    additive: Annotated[
        str, typer.Option("--additive", help="`pass` or `stop` at changes that harm nothing.")
    ] = "",
    breaking: Annotated[
        str, typer.Option("--breaking", help="`stop` at changes that harm, or `quarantine` their records.")
    ] = "",
    output: Output = Format.YAML,
) -> None:
    """Shows or sets what a flow does by itself when schemas change; what is not given stays.

    Example: `isthmus schema policy postgres-settings --unknown-fields keep`
    """
    mesh = mesh_of(ctx)
    request = schemas_pb2.GetSchemaPolicyRequest(flow_id=flow_id(mesh, flow))
    found = mesh.schemas.GetSchemaPolicy(request).policy
    if unknown_fields or additive or breaking:
        if unknown_fields:
            found.unknown_fields = _chosen(_Policy.NewFields, "NEW_FIELDS_", unknown_fields, ("keep", "drop"))
        if additive:
            found.additive = _chosen(_Policy.Reaction, "REACTION_", additive, ("pass", "stop"))
        if breaking:
            found.breaking = _chosen(_Policy.Reaction, "REACTION_", breaking, ("stop", "quarantine"))
        found = mesh.schemas.SetSchemaPolicy(schemas_pb2.SetSchemaPolicyRequest(policy=found)).policy
    show_one(found, output)


def _chosen(kind: Any, prefix: str, text: str, allowed: Sequence[str]) -> Any:
    if text not in allowed:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(allowed)}.")
    return kind.Value(prefix + text.upper())


def _decide(ctx: typer.Context, flow: str, decision: "_Decision.Decision.ValueType", output: Format) -> None:
    mesh = mesh_of(ctx)
    done = []
    for change in list(_changes(mesh, flow_id(mesh, flow), only_open=True)):
        request = _Decision(change_id=change.change_id, decision=decision)
        done.append(mesh.schemas.DecideSchemaChange(request).change)
    if not done:
        note("No change of a schema waits for a decision.")
    emit([as_dict(one, output) for one in done], Format.YAML if output is Format.TABLE else output)


def _changes(mesh: Mesh, flow: str = "", *, only_open: bool = False, limit: int = 0) -> Iterable[_Change]:
    request = schemas_pb2.ListSchemaChangesRequest(flow_id=flow, is_open_only=only_open)
    return pages(mesh.schemas.ListSchemaChanges, request, "changes", limit)


def _status(item: _Change) -> str:
    return word(_Change.Status.Name(item.status), "STATUS_").replace("_", " ")


def _state(change: _Change | None) -> str:
    if change is None:
        return "as expected"
    return f"{_status(change)}: {'; '.join(_line(one) for one in change.differences if one.is_breaking)}"


def _kind(one: schemas_pb2.SchemaDifference) -> str:
    return word(schemas_pb2.SchemaDifference.Kind.Name(one.kind), "KIND_").replace("_", " ")


def _line(one: schemas_pb2.SchemaDifference) -> str:
    return f"{one.path}: {_kind(one)}, {one.before} → {one.after}"


def _row(one: schemas_pb2.SchemaDifference) -> list[str]:
    harms, read = ("yes" if told else "no" for told in (one.is_breaking, one.is_read))
    return [one.path, _kind(one), one.before, one.after, read, harms]
