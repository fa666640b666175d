"""`isthmus mappings validate | activate | rollback | retire | diff`: how versions come into use."""

from collections.abc import Sequence
from typing import Annotated

import typer
from isthmus.client.cli.context import mapping_id, mesh_of
from isthmus.client.cli.mappings import Mapping, Version, group
from isthmus.client.cli.output import Format, Output, as_dict, emit, note, show_one, show_table, word
from isthmus.client.problem import ExitCode
from isthmus.mapping.v1 import mapping_pb2, versions_pb2

Force = Annotated[bool, typer.Option("--force", help="Do it even if active flows break.")]
_Changed = versions_pb2.ActivateMappingVersionResponse | versions_pb2.RollBackMappingResponse


def register(app: typer.Typer) -> None:
    """Has the commands of this module beside the others of `isthmus mappings`."""


@group.command("validate")
def validate(
    ctx: typer.Context, mapping: Mapping, version: Version = 0, output: Output = Format.TABLE
) -> None:
    """Compiles a version and tries its golden samples; a draft that passes is validated.

    Ends with 1 when it has mistakes or a sample does not hold.

    Example: `isthmus mappings validate posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = versions_pb2.ValidateMappingVersionRequest(
        mapping_id=mapping_id(mesh, mapping), version=version
    )
    answer = mesh.mapping_versions.ValidateMappingVersion(request)
    if output is not Format.TABLE:
        show_one(answer, output)
    else:
        _show_validation(answer)
    if answer.violations or not all(one.holds for one in answer.samples):
        raise typer.Exit(ExitCode.FAILED)


def _show_validation(answer: versions_pb2.ValidateMappingVersionResponse) -> None:
    if answer.violations:
        show_table(["PLACE", "MISTAKE"], [[one.path, one.message] for one in answer.violations], wide=True)
        return
    if answer.samples:
        rows = [[one.name, "holds" if one.holds else "FAILS", one.message] for one in answer.samples]
        show_table(["SAMPLE", "RESULT", "WHY"], rows, wide=True)
    note(f"Version {answer.mapping.version} of {answer.mapping.name} is {_state(answer.mapping)}.")


@group.command("activate")
def activate(
    ctx: typer.Context,
    mapping: Mapping,
    version: Version = 0,
    force: Force = False,
    output: Output = Format.TABLE,
) -> None:
    """Has flows that pin no version use this one; the one before stays validated.

    Example: `isthmus mappings activate posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    request = versions_pb2.ActivateMappingVersionRequest(
        mapping_id=mapping_id(mesh, mapping), version=version, allow_breaking=force
    )
    _show_changed(mesh.mapping_versions.ActivateMappingVersion(request), output)


@group.command("rollback")
def roll_back(
    ctx: typer.Context,
    mapping: Mapping,
    to: Annotated[
        int, typer.Option("--to", help="To which version; the one before that was in use when not given.")
    ] = 0,
    force: Force = False,
    output: Output = Format.TABLE,
) -> None:
    """Has flows use an earlier version again; called again it goes one further back.

    Example: `isthmus mappings rollback posture-to-ticket --to 1`
    """
    mesh = mesh_of(ctx)
    request = versions_pb2.RollBackMappingRequest(
        mapping_id=mapping_id(mesh, mapping), version=to, allow_breaking=force
    )
    _show_changed(mesh.mapping_versions.RollBackMapping(request), output)


def _show_changed(answer: _Changed, output: Format) -> None:
    if output is not Format.TABLE:
        show_one(answer, output)
        return
    mapping, former = answer.mapping, answer.former_version
    if former == mapping.version:
        note(f"Version {former} of {mapping.name} was in use already.")
    else:
        instead = f" instead of version {former}" if former else ""
        note(f"Flows use version {mapping.version} of {mapping.name} from their next run on{instead}.")
    _show_breaks(answer.breaks)


@group.command("retire")
def retire(
    ctx: typer.Context,
    mapping: Mapping,
    version: Annotated[int, typer.Option("--version", min=1, help="Which version.")],
    output: Output = Format.TABLE,
) -> None:
    """Takes a version out of use; refused while flows pin it. Validating it takes it back.

    Example: `isthmus mappings retire posture-to-ticket --version 1`
    """
    mesh = mesh_of(ctx)
    request = versions_pb2.RetireMappingVersionRequest(mapping_id=mapping_id(mesh, mapping), version=version)
    retired = mesh.mapping_versions.RetireMappingVersion(request).mapping
    if output is Format.TABLE:
        note(f"Version {version} of {retired.name} is {_state(retired)}.")
    else:
        show_one(retired, output)


@group.command("diff")
def diff(
    ctx: typer.Context,
    mapping: Mapping,
    version: Version = 0,
    other: Annotated[
        int, typer.Option("--from", help="Compared with which version; the one in use when not given.")
    ] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Shows what a version changes about each target field, and which flows would break by it.

    Example: `isthmus mappings diff posture-to-ticket`
    """
    mesh = mesh_of(ctx)
    found_id = mapping_id(mesh, mapping)
    assessed = mesh.mapping_versions.AssessMappingVersion(
        versions_pb2.AssessMappingVersionRequest(mapping_id=found_id, version=version, from_version=other)
    )
    if output is not Format.TABLE:
        emit(as_dict(assessed, output), output)
        return
    kinds = versions_pb2.FieldChange.Kind
    between = f"between versions {assessed.from_version} and {assessed.version}"
    if assessed.changes:
        rows = [[word(kinds.Name(one.kind), "KIND_"), one.message] for one in assessed.changes]
        show_table(["FIELD", "WHAT CHANGES"], rows, wide=True)
    else:
        note(f"No target field changes {between}." if assessed.from_version else "No version is in use yet.")
    _show_breaks(assessed.breaks)


def _show_breaks(breaks: Sequence[versions_pb2.FlowBreak]) -> None:
    if breaks:
        rows = [[one.flow_name, "yes" if one.is_active else "no", one.message] for one in breaks]
        show_table(["FLOW THAT BREAKS", "ACTIVE", "WHY"], rows, wide=True)


def _state(mapping: mapping_pb2.DataMapping) -> str:
    return word(mapping_pb2.DataMapping.State.Name(mapping.state), "STATE_")
