"""`isthmus records`: what the hub holds."""

import json
from typing import Annotated

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, emit, show, show_one, when
from isthmus.client.mesh import pages
from isthmus.records.v1 import records_pb2


def _short(item: records_pb2.HubRecord) -> str:
    # Spaces behind commas are where a terminal may fold it.
    data = json.dumps(json.loads(item.data), ensure_ascii=False) if item.data else ""
    text = f"(deleted) {data}" if item.is_deleted else data
    return text if len(text) <= 160 else text[:159] + "…"


_group = typer.Typer(help="What the hub holds.", no_args_is_help=True)
_COLUMNS = (
    Column("KEY", lambda item: item.key.replace("\x1f", " / ")),
    Column("VERSION", lambda item: str(item.version)),
    Column("CHANGED", lambda item: when(item.update_time)),
    Column("DATA", _short, wide=True),
)
Stream = Annotated[str, typer.Argument(help="Name of a stream.")]
Key = Annotated[list[str], typer.Argument(help="Key of a record; its parts one after another.")]
Filter = Annotated[str, typer.Option("--filter", help='For example \'status = "fail" AND owner : "db"\'.')]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_group, name="records")


@_group.command("streams")
def streams(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the streams that hold records.

    Example: `isthmus records streams`
    """
    columns = (
        Column("STREAM", lambda item: item.stream),
        Column("RECORDS", lambda item: f"{item.records:,}"),
        Column("CHANGED", lambda item: when(item.update_time)),
    )
    found = pages(mesh_of(ctx).records.ListStreams, records_pb2.ListStreamsRequest(), "streams", limit)
    show(found, columns, output, empty="The hub holds nothing yet: `isthmus sync run FLOW` fills it.")


@_group.command("query")
def query(
    ctx: typer.Context,
    stream: Stream,
    filter_: Filter = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="Show deleted records too.")] = False,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Finds records of a stream.

    Example: `isthmus records query policy_posture --filter 'status = "fail"'`
    """
    request = records_pb2.QueryRecordsRequest(stream=stream, filter=filter_, include_deleted=deleted)
    found = pages(mesh_of(ctx).records.QueryRecords, request, "records", limit)
    show(found, _COLUMNS, output, empty="No record matches.")


@_group.command("count")
def count(ctx: typer.Context, stream: Stream, filter_: Filter = "", output: Output = Format.TABLE) -> None:
    """Counts records of a stream.

    Example: `isthmus records count policy_posture --filter 'status = "fail"'`
    """
    request = records_pb2.CountRecordsRequest(stream=stream, filter=filter_)
    found = mesh_of(ctx).records.CountRecords(request).records
    if output is Format.TABLE:
        typer.echo(found)
    else:
        emit({"records": found}, output)


@_group.command("show")
def show_record(
    ctx: typer.Context,
    stream: Stream,
    key: Key,
    version: Annotated[
        int, typer.Option("--version", help="Which version; the present one when not given.")
    ] = 0,
    output: Output = Format.YAML,
) -> None:
    """Shows one record with where it came from.

    Example: `isthmus records show policy_posture postgresql-hardening PG-TLS`
    """
    request = records_pb2.GetRecordRequest(stream=stream, key=_joined(key), version=version)
    show_one(mesh_of(ctx).records.GetRecord(request).record, output)


@_group.command("history")
def history(
    ctx: typer.Context, stream: Stream, key: Key, limit: Limit = 20, output: Output = Format.TABLE
) -> None:
    """Lists the forms that a record has had, newest first.

    Example: `isthmus records history policy_posture postgresql-hardening PG-TLS`
    """
    request = records_pb2.ListRecordVersionsRequest(stream=stream, key=_joined(key))
    found = pages(mesh_of(ctx).records.ListRecordVersions, request, "versions", limit)
    show(found, _COLUMNS, output, empty="There is no such record.")


def _joined(parts: list[str]) -> str:
    """Key parts are joined by the unit separator, which nobody can type."""
    return "\x1f".join(parts)
