"""`isthmus schemas`: schemas by name and version, and whether versions go together."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import (
    Column,
    Format,
    Limit,
    Output,
    emit,
    note,
    show,
    show_one,
    show_table,
    when,
    word,
)
from isthmus.client.mesh import pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.mapping.v1 import schema_registry_pb2 as pb

group = typer.Typer(help="Schemas by name and version: own data models and streams.", no_args_is_help=True)
_SUFFIXES = {".avsc": "avro", ".proto": "protobuf"}
_FORMATS = ("json-schema", "avro", "protobuf")
Subject = Annotated[str, typer.Argument(help="Name of a schema, for example `crm/person`.")]
Number = Annotated[int, typer.Argument(help="Number of a version.")]
Version = Annotated[int, typer.Option("--version", help="Which version; the newest when not given.")]
File = Annotated[Path, typer.Argument(help="JSON Schema as JSON or YAML, Avro (.avsc) or Protobuf (.proto).")]
Named = Annotated[str, typer.Option("--subject", help="Name of the schema, for example `crm/person`.")]
Notation = Annotated[str, typer.Option("--format", help="json-schema, avro or protobuf; else by the name.")]
Level = Annotated[
    str,
    typer.Option("--level", help="none, backward, forward, full, or the last three with `_transitive`."),
]
Policy = Annotated[str, typer.Option("--policy", help="strict or lenient about fields that no schema names.")]


@group.command("import")
def import_schema(
    ctx: typer.Context, file: File, subject: Named, form: Notation = "", output: Output = Format.YAML
) -> None:
    """Adds a version to a schema, which is made where there is none; the same again changes nothing.

    Example: `isthmus schemas import person.yaml --subject crm/person`
    """
    request = pb.RegisterSchemaVersionRequest(subject=subject, **_read(file, form))
    answer = mesh_of(ctx).registered.RegisterSchemaVersion(request)
    if not answer.is_new:
        note(f"{subject} has this schema already, as version {answer.version.version}.")
    _show_version(answer.version, output, whole=False)


@group.command("export")
def export_schema(
    ctx: typer.Context,
    subject: Subject,
    form: Annotated[str, typer.Option("--format", help="json-schema, avro or protobuf.")] = "json-schema",
    version: Version = 0,
    file: Annotated[Path | None, typer.Option("--file", help="Write the schema here.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Writes a schema in a notation, and says on standard error what that cannot express.

    Example: `isthmus schemas export crm/person --format avro`
    """
    request = pb.ExportSchemaVersionRequest(subject=subject, version=version, format=_notation(form))
    answer = mesh_of(ctx).registered.ExportSchemaVersion(request)
    if file:
        file.write_text(f"{answer.definition}\n", encoding="utf-8")
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    if not file:
        sys.stdout.write(f"{answer.definition}\n")
    for loss in answer.losses:
        note(f"{loss.path}: {loss.message}")


@group.command("check")
def check_schema(
    ctx: typer.Context,
    file: File,
    subject: Named,
    form: Notation = "",
    version: Annotated[int, typer.Option("--version", help="Compare with this version only.")] = 0,
    level: Level = "",
    policy: Policy = "",
    output: Output = Format.TABLE,
) -> None:
    """Tells whether a schema could be added as a further version, and every reason why not.

    Example: `isthmus schemas check person.yaml --subject crm/person --level full`
    """
    request = pb.CheckSchemaVersionRequest(
        subject=subject, version=version, level=_level(level), policy=_policy(policy), **_read(file, form)
    )
    answer = mesh_of(ctx).registered.CheckSchemaVersion(request)
    if output is not Format.TABLE:
        show_one(answer, output)
    elif answer.is_compatible:
        note(f"The schema goes with {subject} ({_level_word(answer.level)}).")
    else:
        rows = [[one.path, one.rule, _line(one)] for one in answer.incompatibilities]
        show_table(["FIELD", "RULE", "WHAT"], rows, wide=True)
    if not answer.is_compatible:
        raise typer.Exit(ExitCode.FAILED)


@group.command("list")
def list_subjects(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Option("--prefix", help="Only names that begin like this.")] = "",
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """Lists schemas by name, each with its newest version.

    Example: `isthmus schemas list`
    """
    columns = (
        Column("SCHEMA", lambda item: item.subject),
        Column("VERSION", lambda item: str(item.latest_version)),
        Column("FORMAT", lambda item: _format(item.format)),
        Column("ADDED", lambda item: when(item.update_time)),
        Column("TITLE", lambda item: item.title or "-", wide=True),
    )
    request = pb.ListSchemaSubjectsRequest(prefix=prefix)
    found = pages(mesh_of(ctx).registered.ListSchemaSubjects, request, "subjects", limit)
    show(found, columns, output, empty="There is no schema yet: `isthmus schemas import FILE` adds one.")


@group.command("show")
def show_schema(
    ctx: typer.Context, subject: Subject, version: Version = 0, output: Output = Format.YAML
) -> None:
    """Shows a schema with its definition.

    Example: `isthmus schemas show crm/person`
    """
    request = pb.GetSchemaVersionRequest(subject=subject, version=version)
    _show_version(mesh_of(ctx).registered.GetSchemaVersion(request).version, output)


@group.command("versions")
def versions(ctx: typer.Context, subject: Subject, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists the versions of a schema, newest first.

    Example: `isthmus schemas versions crm/person`
    """
    columns = (
        Column("VERSION", lambda item: str(item.version)),
        Column("STATUS", _status),
        Column("FORMAT", lambda item: _format(item.format)),
        Column("ADDED", lambda item: when(item.create_time)),
        Column("BY", lambda item: item.created_by or "-"),
        Column("NOTE", lambda item: item.status_note or "-", wide=True),
    )
    request = pb.ListSchemaVersionsRequest(subject=subject)
    show(
        pages(mesh_of(ctx).registered.ListSchemaVersions, request, "versions", limit),
        columns,
        output,
        empty="None.",
    )


@group.command("compatibility")
def compatibility(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(help="Name of a schema; all that say nothing without it.")] = "",
    level: Level = "",
    policy: Policy = "",
    output: Output = Format.YAML,
) -> None:
    """Shows or sets which versions of a schema have to go together; what is not given stays.

    Example: `isthmus schemas compatibility crm/person --level full`
    """
    registered = mesh_of(ctx).registered
    found = registered.GetSchemaCompatibility(pb.GetSchemaCompatibilityRequest(subject=subject))
    held = found.effective
    if level or policy:
        wanted = found.compatibility
        wanted.level = _level(level) or wanted.level
        wanted.policy = _policy(policy) or wanted.policy
        held = registered.SetSchemaCompatibility(
            pb.SetSchemaCompatibilityRequest(compatibility=wanted)
        ).effective
    show_one(held, output)


@group.command("deprecate")
def deprecate(
    ctx: typer.Context,
    subject: Subject,
    version: Number,
    why: Annotated[str, typer.Option("--note", help="Why, and what to use.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="It may be used again.")] = False,
    output: Output = Format.YAML,
) -> None:
    """Marks a version as one that nothing new should be built on; it stays readable.

    Example: `isthmus schemas deprecate crm/person 1 --note "use 2"`
    """
    status = pb.SchemaVersion.STATUS_AVAILABLE if undo else pb.SchemaVersion.STATUS_DEPRECATED
    request = pb.SetSchemaVersionStatusRequest(subject=subject, version=version, status=status, note=why)
    show_one(mesh_of(ctx).registered.SetSchemaVersionStatus(request).version, output)


@group.command("delete")
def delete(ctx: typer.Context, subject: Subject, version: Number, output: Output = Format.YAML) -> None:
    """Removes a version for good; its number is not given again.

    Example: `isthmus schemas delete crm/person 1`
    """
    mesh_of(ctx).registered.DeleteSchemaVersion(
        pb.DeleteSchemaVersionRequest(subject=subject, version=version)
    )
    emit(
        {"deleted": {"subject": subject, "version": version}},
        Format.YAML if output is Format.TABLE else output,
    )


def _read(file: Path, form: str) -> dict[str, Any]:
    form = form or _SUFFIXES.get(file.suffix, "json-schema")
    notation = _notation(form)
    try:
        text = file.read_text(encoding="utf-8")
        if form == "json-schema" and file.suffix in {".yaml", ".yml"}:
            text = json.dumps(yaml.safe_load(text), ensure_ascii=False)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        message = f"{file} cannot be read as a schema ({type(error).__name__}): give a text file."
        raise Problem("SCHEMA_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
    return {"format": notation, "definition": text}


def _notation(form: str) -> Any:
    if form not in _FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(_FORMATS)}.")
    name = form.upper().replace("-", "_")
    return pb.SchemaFormat.Value(f"SCHEMA_FORMAT_{name}")


def _show_version(version: pb.SchemaVersion, output: Format, *, whole: bool = True) -> None:
    if not whole:
        version.ClearField("definition")
        version.ClearField("json_schema")
    elif version.definition == version.json_schema:
        version.ClearField("definition")
    show_one(version, output)


def _level(text: str) -> Any:
    return _chosen(pb.CompatibilityLevel, "COMPATIBILITY_LEVEL_", text)


def _policy(text: str) -> Any:
    return _chosen(pb.CompatibilityPolicy, "COMPATIBILITY_POLICY_", text)


def _chosen(kind: Any, prefix: str, text: str) -> Any:
    name = prefix + text.upper().replace("-", "_")
    if not text:
        return 0
    if name not in kind.keys():  # noqa: SIM118 - an enum of the contract is no dict
        known = ", ".join(word(one, prefix) for one in kind.keys()[1:])
        raise typer.BadParameter(f"{text!r} is none of {known}.")
    return kind.Value(name)


def _format(number: "pb.SchemaFormat.ValueType") -> str:
    return word(pb.SchemaFormat.Name(number), "SCHEMA_FORMAT_").replace("_", " ")


def _level_word(number: "pb.CompatibilityLevel.ValueType") -> str:
    return word(pb.CompatibilityLevel.Name(number), "COMPATIBILITY_LEVEL_")


def _status(item: pb.SchemaVersion) -> str:
    return word(pb.SchemaVersion.Status.Name(item.status), "STATUS_")


def _line(one: pb.SchemaIncompatibility) -> str:
    return f"{one.message} {one.remedy}"
