"""`isthmus retention` and `isthmus person`: how long data is kept, and what is held about a person."""

import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Format, Output, emit, note
from isthmus.client.problem import ExitCode, Problem
from isthmus.records.v1 import privacy_pb2

_retention = typer.Typer(help="How long data is kept.", no_args_is_help=True)
_person = typer.Typer(help="What is held about a person.", no_args_is_help=True)
_DAY = 86_400
_OF_STREAMS = ("records", "history", "deleted")
_KINDS = (*_OF_STREAMS, "quarantine", "conflicts")
_ACTIONS = {
    "replace": privacy_pb2.ErasePersonDataRequest.ACTION_REPLACE,
    "delete": privacy_pb2.ErasePersonDataRequest.ACTION_DELETE,
}
Stream = Annotated[str, typer.Argument(help="Name of a stream; all that say nothing themselves without it.")]
Days = Annotated[str, typer.Option(help="Days, `ever`, or `default`.")]
Subject = Annotated[str, typer.Argument(help="What identifies the person: an e-mail address, a user id.")]


def register(app: typer.Typer) -> None:
    """Adds both groups to the command line."""
    app.add_typer(_retention, name="retention")
    app.add_typer(_person, name="person")


@_retention.command("show")
def show_retention(ctx: typer.Context, stream: Stream = "", output: Output = Format.YAML) -> None:
    """Shows for how many days data is kept since its last change.

    Example: `isthmus retention show`
    """
    answer = mesh_of(ctx).privacy.GetRetention(privacy_pb2.GetRetentionRequest(stream=stream))
    _emit(answer.effective, output)


@_retention.command("set")
def set_retention(
    ctx: typer.Context,
    stream: Stream = "",
    records: Days = "",
    history: Days = "",
    deleted: Days = "",
    quarantine: Days = "",
    conflicts: Days = "",
    output: Output = Format.YAML,
) -> None:
    """Sets for how many days data is kept; what is older is removed within a day, for good.

    Example: `isthmus retention set --history 180 --quarantine 30`
    """
    privacy = mesh_of(ctx).privacy
    given = {"records": records, "history": history, "deleted": deleted}
    given |= {"quarantine": quarantine, "conflicts": conflicts}
    kept = privacy.GetRetention(privacy_pb2.GetRetentionRequest(stream=stream)).retention
    times = {field.name: value for field, value in kept.ListFields() if field.name in _KINDS}
    for kind, days in given.items():
        if days == "default":
            times.pop(kind, None)
        elif days:
            times[kind] = Duration(seconds=_seconds(kind, days))
    wanted = privacy_pb2.Retention(stream=stream, **times)
    privacy.SetRetention(privacy_pb2.SetRetentionRequest(retention=wanted))
    _emit(privacy.GetRetention(privacy_pb2.GetRetentionRequest(stream=stream)).effective, output)


@_person.command("export")
def export(
    ctx: typer.Context,
    subject: Subject,
    file: Annotated[Path | None, typer.Option("--file", help="Write the lines here.")] = None,
    output: Output = Format.YAML,
) -> None:
    """Writes all that is held about a person, one JSON object a line; `--file` writes it elsewhere.

    Example: `isthmus person export ada@example.org --file ada.jsonl`
    """
    request = privacy_pb2.ExportPersonDataRequest(subject=subject)
    lines = looked = 0
    target = file.open("w", encoding="utf-8") if file else sys.stdout
    try:
        for answer in mesh_of(ctx).privacy.ExportPersonData(request):
            looked, lines = answer.looked_at, lines + len(answer.lines)
            target.writelines(f"{line}\n" for line in answer.lines)
    finally:
        if file:
            target.close()
    if file:
        emit({"lines": lines, "looked_at": looked}, output)


@_person.command("erase")
def erase(
    ctx: typer.Context,
    subject: Subject,
    action: Annotated[
        str, typer.Option("--action", help="`replace` personal values, or `delete` records.")
    ] = "replace",
    yes: Annotated[bool, typer.Option("--yes", help="Erase; only counts without it.")] = False,
    request_id: Annotated[str, typer.Option("--resume", help="Goes on with an erasure by its id.")] = "",
    output: Output = Format.YAML,
) -> None:
    """Counts what is held about a person; with `--yes` erases it, and keeps it from coming back.

    Example: `isthmus person erase ada@example.org`
    """
    if action not in _ACTIONS:
        message = f"{action} is no action: use replace or delete."
        raise Problem("ACTION_UNKNOWN", message, exit_code=ExitCode.USAGE)
    request = privacy_pb2.ErasePersonDataRequest(
        subject=subject,
        action=_ACTIONS[action],
        is_dry_run=not yes,
        request_id=request_id or str(uuid.uuid4()),
    )
    if yes:
        note(f"Should this break: repeat with --resume {request.request_id}")
    last = privacy_pb2.ErasePersonDataResponse()
    for answer in mesh_of(ctx).privacy.ErasePersonData(request):
        last = answer
    names = privacy_pb2.PersonCounts.DESCRIPTOR.fields_by_name
    emit(
        {"erased": yes, "looked_at": last.looked_at, **{name: getattr(last.counts, name) for name in names}},
        output,
    )
    if not yes:
        note("Nothing was erased: add --yes.")


@_person.command("allow")
def allow(ctx: typer.Context, subject: Subject, output: Output = Format.YAML) -> None:
    """Lets data of an erased person in again; what was erased does not come back by itself.

    Example: `isthmus person allow ada@example.org`
    """
    answer = mesh_of(ctx).privacy.AllowPerson(privacy_pb2.AllowPersonRequest(subject=subject))
    emit({"was_suppressed": answer.was_suppressed}, output)


def _emit(kept: privacy_pb2.Retention, output: Format) -> None:
    told = {kind: getattr(kept, kind).seconds for kind in (_OF_STREAMS if kept.stream else _KINDS)}
    days = {kind: _days(seconds) for kind, seconds in told.items()}
    emit({"stream": kept.stream or "*", **days}, Format.YAML if output is Format.TABLE else output)


def _days(seconds: int) -> str:
    return f"{seconds / _DAY:g} days" if seconds else "for ever"


def _seconds(kind: str, days: str) -> int:
    if days == "ever":
        return 0
    try:
        seconds = int(float(days) * _DAY)
    except (ValueError, OverflowError):
        seconds = 0
    if seconds <= 0:
        message = f"{days} is no time for {kind}: give days, `ever`, or `default`."
        raise Problem("TIME_UNKNOWN", message, exit_code=ExitCode.USAGE)
    return seconds


__all__ = ["register"]
