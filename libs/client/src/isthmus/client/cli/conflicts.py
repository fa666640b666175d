"""`isthmus conflicts` and `isthmus pairs`: what two-way flows keep the same, and where they cannot."""

import uuid
from pathlib import Path
from typing import Annotated

import typer
from isthmus.client.cli.context import flow_id, flow_names, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, show, show_one, when, word
from isthmus.client.mesh import pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.records.v1 import pairs_pb2

_conflicts = typer.Typer(help="Records that both sides of a two-way flow changed.", no_args_is_help=True)
_pairs = typer.Typer(help="Records that two-way flows keep the same on both sides.", no_args_is_help=True)
_Choice = pairs_pb2.ResolveConflictRequest
Flow = Annotated[str, typer.Option("--flow", help="Only of this flow, by name or id.")]
Conflict = Annotated[str, typer.Argument(help="Id of a conflict.")]
_SIDES = {"source": _Choice.CHOICE_SOURCE, "destination": _Choice.CHOICE_DESTINATION}


def register(app: typer.Typer) -> None:
    """Adds both groups to the command line."""
    app.add_typer(_conflicts, name="conflicts")
    app.add_typer(_pairs, name="pairs")


@_conflicts.command("list")
def list_conflicts(
    ctx: typer.Context,
    flow: Flow = "",
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists conflicts that wait for a person, oldest first.

    Example: `isthmus conflicts list --flow postgres-settings --all`
    """
    mesh = mesh_of(ctx)
    request = pairs_pb2.ListConflictsRequest(
        flow_id=flow_id(mesh, flow) if flow else "",
        statuses=[number for number in pairs_pb2.Conflict.Status.values() if number] if everything else [],
    )
    names = flow_names(mesh) if output is Format.TABLE else {}
    columns = (
        Column("ID", lambda item: item.conflict_id),
        Column("FLOW", lambda item: names.get(item.flow_id, item.flow_id)),
        Column("RECORD", lambda item: item.source_key or item.destination_key),
        Column("STATUS", lambda item: word(pairs_pb2.Conflict.Status.Name(item.status), "STATUS_")),
        Column("SINCE", lambda item: when(item.create_time)),
        Column("FIELDS", lambda item: ", ".join(item.fields) or "-"),
        Column("WHY", lambda item: item.reason, wide=True),
    )
    found = pages(mesh.pairs.ListConflicts, request, "conflicts", limit)
    show(found, columns, output, empty="No conflict waits.")


@_conflicts.command("show")
def show_conflict(
    ctx: typer.Context,
    conflict: Conflict,
    values: Annotated[
        bool, typer.Option("--values", help="With confidential, personal and secret values; is recorded.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Shows a conflict with both versions, and what both sides held before.

    Example: `isthmus conflicts show cfl_01j9`
    """
    pairs = mesh_of(ctx).pairs
    if values:
        found = pairs.ReadConflict(pairs_pb2.ReadConflictRequest(conflict_id=conflict)).conflict
    else:
        found = pairs.GetConflict(pairs_pb2.GetConflictRequest(conflict_id=conflict)).conflict
    show_one(found, output)


@_conflicts.command("resolve")
def resolve(
    ctx: typer.Context,
    conflict: Conflict,
    take: Annotated[
        str, typer.Option("--take", help="Whose version both sides get: source or destination.")
    ] = "",
    record: Annotated[
        str, typer.Option("--record", help="The record that both sides get, as JSON, or @FILE.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who read it later.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Decides a conflict; the flow then writes the decision to both sides.

    Example: `isthmus conflicts resolve cfl_01j9 --take source --reason "agreed with the owner"`
    """
    request = pairs_pb2.ResolveConflictRequest(
        conflict_id=conflict, reason=reason, request_id=str(uuid.uuid4())
    )
    if bool(take) == bool(record) or (take and take not in _SIDES):
        message = "Say what both sides get: --take source, --take destination, or --record JSON."
        raise Problem("CHOICE_MISSING", message, exit_code=ExitCode.USAGE)
    request.choice = _SIDES.get(take, _Choice.CHOICE_RECORD)
    request.record = _text(record)
    show_one(mesh_of(ctx).pairs.ResolveConflict(request).conflict, output)


@_pairs.command("list")
def list_pairs(
    ctx: typer.Context,
    flow: Annotated[str, typer.Argument(help="Name or id of a two-way flow.")],
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only in this state; repeatable.")
    ] = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists the pairs of a two-way flow, oldest first.

    Example: `isthmus pairs list postgres-settings --status held`
    """
    mesh = mesh_of(ctx)
    request = pairs_pb2.ListPairsRequest(
        flow_id=flow_id(mesh, flow), statuses=[_status(name) for name in status or []]
    )
    columns = (
        Column("SOURCE", lambda item: item.source_key or "-"),
        Column("DESTINATION", lambda item: item.destination_key or "-"),
        Column("STATUS", lambda item: word(pairs_pb2.Pair.Status.Name(item.status), "STATUS_")),
        Column("CHANGED", lambda item: when(item.update_time)),
        Column("ID", lambda item: item.pair_id),
    )
    found = pages(mesh.pairs.ListPairs, request, "pairs", limit)
    empty = (
        "No pair is in this state." if status else "There is no pair yet: `isthmus sync run FLOW` makes them."
    )
    show(found, columns, output, empty=empty)


def _status(name: str) -> pairs_pb2.Pair.Status.ValueType:
    try:
        return pairs_pb2.Pair.Status.Value(f"STATUS_{name.upper().replace('-', '_')}")
    except ValueError as error:
        message = f"{name} is no state: use in_sync, changed, writing, in_review, held, parted or deleted."
        raise Problem("STATUS_UNKNOWN", message, exit_code=ExitCode.USAGE) from error


def _text(record: str) -> str:
    if not record.startswith("@"):
        return record
    try:
        return Path(record[1:]).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{record[1:]} cannot be read: name a readable JSON file."
        raise Problem("FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
