"""`isthmus schemas discover`, `search` and `fields`: what there is in all schemas."""

from typing import Annotated

import typer
from isthmus.client.cli.context import instance_id, mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, note, show, show_one, show_table, word
from isthmus.client.cli.progress import waiting
from isthmus.client.cli.schema_registry import Subject, group
from isthmus.client.mesh import pages
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.records.v1 import statistics_pb2
from isthmus.type.v1 import privacy_pb2


def _type(item: pb.SchemaField) -> str:
    told = " or ".join(item.types) or "anything"
    return f"{told} ({item.format})" if item.format else told


def _versions(item: pb.SchemaField) -> str:
    first, last = item.first_version, item.last_version
    return str(first) if first == last else f"{first}-{last}"


_FIELD = (
    Column("FIELD", lambda item: item.path),
    Column("TYPE", _type),
    Column("CLASS", lambda item: word(privacy_pb2.DataClass.Name(item.data_class), "DATA_CLASS_")),
    Column("VERSIONS", _versions),
    Column("MEANS", lambda item: item.description or "-", wide=True),
)


def register(app: typer.Typer) -> None:
    """Adds the group of schemas, with these commands, to the command line."""
    app.add_typer(group, name="schemas")


@group.command("discover")
def discover(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(help="Name or id of an instance.")],
    output: Output = Format.TABLE,
) -> None:
    """Asks an instance for its streams, and keeps the schema of each as `stream/<instance>/<stream>`.

    Example: `isthmus schemas discover hub`
    """
    mesh = mesh_of(ctx)
    request = pb.CaptureStreamsRequest(instance_id=instance_id(mesh, instance))
    with waiting("discovering …"):
        answer = mesh.registered.CaptureStreams(request)
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    note(f"{answer.added} of {len(answer.versions)} schemas are new.")
    show_table(["SCHEMA", "VERSION"], [[one.subject, str(one.version)] for one in answer.versions])
    if answer.streams_without_schema:
        note(f"No schema that can be read: {', '.join(answer.streams_without_schema)}")


@group.command("fields")
def fields(ctx: typer.Context, subject: Subject, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the fields of a schema, with class, meaning, and the versions that have them.

    Example: `isthmus schemas fields model/isthmus/alert`
    """
    request = pb.ListSchemaFieldsRequest(subject=subject)
    found = pages(mesh_of(ctx).registered.ListSchemaFields, request, "fields", limit)
    show(found, _FIELD, output, empty=f"{subject} names no fields.")


@group.command("search")
def search(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(help="Words in names, titles, paths or descriptions.")] = "",
    prefix: Annotated[str, typer.Option("--prefix", help="Only schemas whose name begins so.")] = "",
    field: Annotated[str, typer.Option("--field", help="Only fields whose own name has this in it.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Only fields of this JSON type.")] = "",
    data_class: Annotated[str, typer.Option("--class", help="Only fields of this class of data.")] = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Looks for fields in the newest versions of all schemas: own ones, streams and built-in models.

    Example: `isthmus schemas search severity --prefix model/`
    """
    name = f"DATA_CLASS_{(data_class or 'unspecified').upper()}"
    if name not in privacy_pb2.DataClass.keys():  # noqa: SIM118 - an enum of the contract is no dict
        raise typer.BadParameter(f"{data_class!r} is no class of data.")
    request = pb.SearchSchemasRequest(
        query=words, prefix=prefix, field=field, type=kind, data_class=privacy_pb2.DataClass.Value(name)
    )
    found = pages(mesh_of(ctx).registered.SearchSchemas, request, "fields", limit)
    columns = (Column("SCHEMA", lambda item: item.subject), *_FIELD)
    show(found, columns, output, empty="No field is like that.")


@group.command("stats")
def stats(
    ctx: typer.Context,
    stream: Annotated[str, typer.Argument(help="Name of a stream of the hub.")],
    sample: Annotated[int, typer.Option("--sample", min=0, help="How many records to look at.")] = 1000,
    output: Output = Format.TABLE,
) -> None:
    """Shows what the values of the hub's stream are like, by a sample of its records.

    Example: `isthmus schemas stats policy_posture`
    """
    request = statistics_pb2.GetStreamStatisticsRequest(stream=stream, sample_size=sample)
    answer = mesh_of(ctx).statistics.GetStreamStatistics(request)
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    note(f"{answer.sampled} of {answer.records} records were looked at.")
    columns = (
        Column("FIELD", lambda item: item.path),
        Column("TYPE", lambda item: " or ".join(item.types) or "null"),
        Column("EMPTY", _empty),
        Column("DISTINCT", lambda item: f"{item.distinct}{'+' if item.is_distinct_more else ''}"),
        Column("LEAST", lambda item: item.least[:24] or "-"),
        Column("GREATEST", lambda item: item.greatest[:24] or "-"),
        Column("EXAMPLES", lambda item: ", ".join(one.value for one in item.examples) or "-", wide=True),
    )
    show(answer.fields, columns, output, empty="The stream has no records.")


def _empty(item: statistics_pb2.FieldStatistics) -> str:
    return f"{(item.missing + item.nulls) / item.places:.0%}" if item.places else "-"
