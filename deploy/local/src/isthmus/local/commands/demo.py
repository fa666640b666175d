"""`isthmus demo`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from isthmus.client import Mesh, load_profile
from isthmus.client.cli.output import Format, Output, as_dict, emit
from isthmus.client.manifest import Outcome, read_documents
from isthmus.client.manifest import apply as apply_documents
from isthmus.client.manifest.state import State
from isthmus.client.problem import ExitCode, Problem, problem_from
from isthmus.local.commands.common import console, local_home
from isthmus.local.demo import Check, Run, checks, lend_audit_log, run_all, variables
from isthmus.local.home import Home
from isthmus.scheduling.v1 import scheduling_pb2
from rich.table import Table

__all__ = ["register"]

_REPOSITORY = Path(__file__).resolve().parents[4]
_TICKETS = "failed-checks-to-tickets"


def register(app: typer.Typer) -> None:
    """Add `demo`."""
    app.command("demo")(demo)


def demo(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Option("--from", help="Folder with the demonstration's documents.")
    ] = _REPOSITORY / "demo",
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Try the public KEV catalogue too.")
    ] = True,
    output: Output = Format.TABLE,
) -> None:
    """Collects compliance evidence from the mesh's own back ends and shows which checks fail.

    Starts the mesh where it does not run. Needs no account and no network.

    Example: `isthmus demo --no-network`
    """
    home = local_home(ctx)
    _bring_up(home)
    os.environ.update(variables(home.mesh_file))
    profile = load_profile(home.root)
    files = home.files / profile.tenant_id
    lend_audit_log(home.mesh_file, files)
    with Mesh(profile) as mesh:
        outcomes = _apply(mesh, folder)
        runs = _run(mesh, outcomes)
        found = checks(mesh)
        kev = _try_network(mesh, folder.parent / "demo-network") if network else "not tried"
    if output is Format.TABLE:
        _show(runs, found, kev, files)
    else:
        emit(_as_dicts(runs, found, kev), output)
    if any(run.execution.status != scheduling_pb2.Execution.STATUS_COMPLETED for run in runs):
        raise typer.Exit(ExitCode.FAILED)


def _bring_up(home: Home) -> None:
    """Start the mesh by its own command, whose words go to standard error."""
    command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(home.root), "up"]
    done = subprocess.run(command, stdout=sys.stderr, check=False)  # noqa: S603 -- our own command
    if done.returncode:
        raise typer.Exit(done.returncode)


def _apply(mesh: Mesh, folder: Path) -> list[Outcome]:
    documents = read_documents([folder])
    with console().status("applying integrations …"):
        outcomes = list(apply_documents(documents, mesh, State(mesh)))
    broken = [f"{outcome.name}: {outcome.warning}" for outcome in outcomes if outcome.warning]
    if broken:
        raise Problem("DEMO_CHECK_FAILED", f"An integration does not work: {'; '.join(broken)}")
    return outcomes


def _run(mesh: Mesh, outcomes: list[Outcome]) -> list[Run]:
    """Run every flow; tickets last, because they are made of what the others found."""
    flows = {outcome.name: outcome.id for outcome in outcomes if outcome.kind == "Flow"}
    last = {name: flows.pop(name) for name in [_TICKETS] if name in flows}
    runs: list[Run] = []
    with console().status("collecting evidence …") as status:
        for group in (flows, last):
            for run in run_all(mesh, group):
                runs.append(run)
                status.update(f"collecting evidence: {len(runs)} of {len(flows) + len(last)} flows done …")
    return runs


def _try_network(mesh: Mesh, folder: Path) -> str:
    """Read the public KEV catalogue where the network allows; say what came of it."""
    try:
        with console().status("trying the public KEV catalogue …"):
            outcomes = list(apply_documents(read_documents([folder]), mesh, State(mesh)))
            broken = next((outcome.warning for outcome in outcomes if outcome.warning), "")
            if broken:
                return f"not reached ({broken})"
            flows = {outcome.name: outcome.id for outcome in outcomes if outcome.kind == "Flow"}
            [run] = run_all(mesh, flows)
    except (grpc.RpcError, Problem) as error:
        problem = problem_from(error) if isinstance(error, grpc.RpcError) else error
        return f"not reached ({problem.message})"
    if run.execution.status != scheduling_pb2.Execution.STATUS_COMPLETED:
        return f"not reached ({run.execution.error.message})"
    return f"{run.execution.counts.read:,} vulnerabilities read, {run.written:,} written to the hub as `kev`"


def _show(runs: list[Run], found: list[Check], kev: str, files: Path) -> None:
    where = console()
    table = Table(title="What was collected", title_justify="left", box=None, pad_edge=False)
    table.add_column("FLOW", no_wrap=True)
    for heading in ("READ", "MAPPED", "NEW", "SAME", "LEFT", "BAD"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    for run in runs:
        counts = run.execution.counts
        numbers = (
            counts.read,
            run.mapped,
            run.written,
            counts.unchanged,
            counts.filtered,
            counts.quarantined,
        )
        status = scheduling_pb2.Execution.Status.Name(run.execution.status).removeprefix("STATUS_").lower()
        table.add_row(run.flow, *(f"{number:,}" for number in numbers), status)
    where.print(table)
    where.print(
        "[dim]NEW: new or changed at the destination; SAME: there already; "
        "LEFT: left out by the mapping; BAD: in quarantine[/dim]"
    )
    _show_checks(found)
    where.print(f"\nPublic KEV catalogue: {kev}.", markup=False)
    where.print(
        f"Tickets for failed checks: {files / 'tickets.jsonl'}\n\n"
        "What to try next:\n"
        "  isthmus records query policy_posture --filter 'status = \"fail\"'\n"
        "  isthmus records query security_event --limit 5\n"
        "  isthmus sync run postgres-settings --watch\n"
        "  isthmus events tail --since 60\n"
        "  isthmus down",
        markup=False,
    )


def _show_checks(found: list[Check]) -> None:
    where = console()
    failed = [check for check in found if check.status == "fail"]
    passed = [check.requirement for check in found if check.status == "pass"]
    where.print(f"\n{len(found)} hardening checks: {len(passed)} passed, {len(failed)} failed")
    table = Table(box=None, pad_edge=False)
    table.add_column("FAILED CHECK", style="red", no_wrap=True)
    table.add_column("EVIDENCE", overflow="fold")
    for check in failed:
        table.add_row(check.requirement, check.evidence)
    where.print(table)
    where.print(f"[green]passed:[/green] {', '.join(passed)}")


def _as_dicts(runs: list[Run], found: list[Check], kev: str) -> dict[str, Any]:
    return {
        "flows": [{"flow": run.flow, "execution": as_dict(run.execution)} for run in runs],
        "checks": [vars(check) for check in found],
        "kev": kev,
    }
