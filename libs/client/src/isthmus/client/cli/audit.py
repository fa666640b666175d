"""`isthmus audit`: who changed what, who saw which secret, and whether the trail of it is whole."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, when, word
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.client.seals import SealKeys, of_tenant, said
from isthmus.identity.v1 import identity_pb2
from isthmus.monitoring.v1 import audit_pb2
from isthmus.resilience.trail import Checkpoint, Entry, Finding, inspect

app = typer.Typer(help="Who changed what and who saw which secret, in a chain that nobody changes unseen.")
_KINDS = {
    "change": audit_pb2.AuditRecord.KIND_CHANGE,
    "access": audit_pb2.AuditRecord.KIND_ACCESS,
}

_COLUMNS = (
    Column("NO", lambda item: str(item.sequence)),
    Column("TIME", lambda item: when(item.time)),
    Column("BY", lambda item: item.subject),
    Column("FROM", lambda item: item.peer),
    Column("KIND", lambda item: word(audit_pb2.AuditRecord.Kind.Name(item.kind), "KIND_")),
    Column("RPC", lambda item: item.method.rpartition(".")[2]),
    Column("OUTCOME", lambda item: item.reason or item.outcome),
    Column("ABOUT", lambda item: " ".join(item.targets), wide=True),
)
Installation = Annotated[
    bool, typer.Option("--installation", help="What concerns no tenant; for who runs the installation.")
]
_MOST_SEALS = 100


def register(root: typer.Typer) -> None:
    """Adds the commands to the command line."""
    root.add_typer(app, name="audit", no_args_is_help=True)


@app.command("list")
def list_records(
    ctx: typer.Context,
    subject: Annotated[str, typer.Option("--by", help="Only of this user, service account or process.")] = "",
    service: Annotated[str, typer.Option("--service", help="Only of this service.")] = "",
    method: Annotated[
        str, typer.Option("--rpc", help="Only of this RPC, `UpdateInstance` for example.")
    ] = "",
    target: Annotated[str, typer.Option("--about", help="Only about this id.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only `change` or only `access`.")] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused or failed.")] = False,
    since: Annotated[float, typer.Option("--since", min=0, help="Only of the last so many minutes.")] = 0,
    installation: Installation = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Shows the audit trail, newest first.

    Example: `isthmus audit list --refused`
    """
    if installation:
        _list_installation(mesh_of(ctx), subject, method, refused, limit, output)
        return
    if kind and kind not in _KINDS:
        raise Problem("KIND_UNKNOWN", f"`--kind` is change or access, not {kind}.", exit_code=ExitCode.USAGE)
    request = audit_pb2.ListAuditRecordsRequest(
        subject=subject,
        service=service,
        method=method,
        target=target,
        kinds=[_KINDS[kind]] if kind else [],
        only_refused=refused,
    )
    if since:
        request.start_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=since))
    found = pages(mesh_of(ctx).audit.ListAuditRecords, request, "records", limit)
    show(found, _COLUMNS, output, empty="Nothing has been changed yet.")


def _list_installation(
    mesh: Mesh, subject: str, method: str, refused: bool, limit: int, output: Format
) -> None:
    request = audit_pb2.ListInstallationRecordsRequest(subject=subject, method=method, only_refused=refused)
    found = pages(mesh.audit.ListInstallationRecords, request, "records", limit)
    show(found, _COLUMNS, output, empty="Nobody has changed anything of the installation yet.")


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Verify an export instead, without asking the mesh."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint", help="An earlier end, `place:hash`, or a file of signed ends; may be repeated."
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", help="With --file: verify signed ends by these keys, which `seal` has written."
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Computes the whole chain anew and says what was changed, removed, put in or moved.

    Ends with 1 when anything is wrong. What it prints as the chain's end can be given to a later run as
    `--checkpoint`.

    Example: `isthmus audit verify`
    """
    given = checkpoint or []
    seals = [seal for text in given if Path(text).is_file() for seal in _lines(Path(text))]
    known = [_checkpoint(text) for text in given if not Path(text).is_file()]
    verdict = _verified_file(file, known, seals, keys) if file else _verified(mesh_of(ctx), known, seals)
    if output is not Format.TABLE:
        emit(verdict, output)
    else:
        _say(verdict)
    if not verdict["is_intact"]:
        raise typer.Exit(1)


@app.command()
def seal(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--file", help="Add it to this file, which `verify --checkpoint` takes.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Write the public keys here, by which such ends are verified anywhere."),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Has what the chain ends with signed; kept elsewhere, it shows later that nothing up to here is missing.

    Example: `isthmus audit seal --file seals.txt`
    """
    answer = mesh_of(ctx).audit.SealAuditTrail(audit_pb2.SealAuditTrailRequest())
    if file is not None:
        with file.open("a", encoding="ascii") as kept:
            kept.write(f"{answer.seal}\n")
        note(f"Record {answer.checkpoint.sequence} is sealed in {file}.")
    if keys is not None:
        keys.write_text(f"{answer.keys}\n", encoding="ascii")
    if output is not Format.TABLE:
        emit(as_dict(answer), output)
    elif file is None:
        typer.echo(answer.seal)


@app.command()
def export(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Option("--file", help="Where to; standard output by default.")] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="Begin with this place in the chain.")] = 1,
    installation: Installation = False,
) -> None:
    """Writes the audit trail as JSON Lines, oldest first, in a form that anybody can verify.

    Example: `isthmus audit export --file trail.jsonl`
    """
    audit = mesh_of(ctx).audit
    answers = (
        audit.ExportInstallationRecords(audit_pb2.ExportInstallationRecordsRequest(first_sequence=first))
        if installation
        else audit.ExportAuditRecords(audit_pb2.ExportAuditRecordsRequest(first_sequence=first))
    )
    if file is None:
        for answer in answers:
            sys.stdout.buffer.write(answer.lines)
        return
    first_answer = next(answers, None)  # a refusal leaves no file behind
    with file.open("wb") as out:
        for answer in (first_answer, *answers) if first_answer else ():
            out.write(answer.lines)
    note(f"The trail is in {file}; `isthmus audit verify --file {file}` verifies it.")


def _verified(mesh: Mesh, known: list[Checkpoint], seals: list[str]) -> dict[str, Any]:
    own = of_tenant(seals, mesh.identity.GetCaller(identity_pb2.GetCallerRequest()).caller.tenant_id)
    request = audit_pb2.VerifyAuditTrailRequest(
        checkpoints=[audit_pb2.AuditCheckpoint(sequence=one.sequence, hash=one.hash) for one in known],
        seals=own[-_MOST_SEALS:],
    )
    findings: list[dict[str, Any]] = []
    last = audit_pb2.VerifyAuditTrailResponse()
    for answer in mesh.audit.VerifyAuditTrail(request):
        last = answer
        if answer.HasField("finding"):
            kind = word(audit_pb2.AuditFinding.Kind.Name(answer.finding.kind), "KIND_")
            findings.append({**as_dict(answer.finding), "kind": kind})
    end = {"sequence": last.end.sequence, "hash": last.end.hash} if last.HasField("end") else None
    return _verdict(findings, last.verified, end, last.compared, last.remark)


def _verified_file(
    file: Path, known: list[Checkpoint], seals: list[str], keys: Path | None
) -> dict[str, Any]:
    entries = list(_entries(file))
    own = of_tenant(seals, str(entries[0].content.get("tenant_id", "")) if entries else "")
    known = [*known, *(Checkpoint(said["sequence"], said["hash"]) for said in map(said, own))]
    first = min((entry.sequence for entry in entries), default=1)
    findings = [_finding(one) for one in inspect(entries, known, first=first)]
    last = max(entries, key=lambda entry: entry.sequence, default=None)
    end = {"sequence": last.sequence, "hash": last.hash} if last else None
    remark = f"The file begins with record {first}." if first > 1 else ""
    if keys is not None:
        SealKeys(keys).insist(own)
    elif own:
        remark = f"{remark} Whether the signatures are true tell --keys, or the mesh.".strip()
    return _verdict(findings, len(entries), end, len(known), remark)


def _verdict(
    findings: list[dict[str, Any]], verified: int, end: dict[str, Any] | None, compared: int, remark: str
) -> dict[str, Any]:
    return {
        "is_intact": not findings,
        "verified": verified,
        "compared": compared,
        "end": end,
        "findings": findings,
        "remark": remark,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"kind": str(finding.kind), "sequence": finding.sequence, "message": finding.message}


def _say(verdict: dict[str, Any]) -> None:
    for finding in verdict["findings"]:
        typer.echo(f"{finding['kind']}: {finding['message']}")
    if verdict["remark"]:
        note(verdict["remark"])
    state = "whole" if verdict["is_intact"] else "NOT whole"
    ends = verdict["compared"]
    typer.echo(f"{verdict['verified']:,} records, compared with {ends:,} earlier ends: the trail is {state}.")
    if verdict["end"]:
        typer.echo(f"It ends with {verdict['end']['sequence']}:{verdict['end']['hash']}")


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: {error}."
        raise Problem("FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error


def _entries(file: Path) -> Iterator[Entry]:
    for number, line in enumerate(_lines(file), 1):
        try:
            content = json.loads(line)
            place, before, own = (content.pop(name) for name in ("sequence", "previous_hash", "hash"))
            yield Entry(int(place), content, str(before), str(own))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"Line {number} of {file} is no record of an audit trail."
            raise Problem("EXPORT_UNREADABLE", message) from error


def _checkpoint(text: str) -> Checkpoint:
    place, _, own = text.partition(":")
    if not place.isdigit() or len(own) != 64:
        message = f"Write a checkpoint as `place:hash`, as `isthmus audit verify` prints it, not {text}."
        raise Problem("CHECKPOINT_INVALID", message, exit_code=ExitCode.USAGE)
    return Checkpoint(int(place), own)
