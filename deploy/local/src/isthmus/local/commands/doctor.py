"""`isthmus doctor`."""

from dataclasses import asdict

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.local.commands.common import local_home, working
from isthmus.local.diagnosis import Finding, Verdict, examine
from rich.console import Console

__all__ = ["register"]

_SIGNS = {
    Verdict.GOOD: "[green]✓[/green]",
    Verdict.WARNING: "[yellow]![/yellow]",
    Verdict.BAD: "[red]✗[/red]",
}


def register(app: typer.Typer) -> None:
    """Add `doctor`."""
    app.command(epilog="Example: `isthmus doctor --output json`")(doctor)


def doctor(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Checks whether this machine can run a mesh and whether the running one is well; names remedies.

    Changes nothing. Ends with 1 when something keeps the mesh from working.
    """
    with working("examining …"):
        findings = examine(local_home(ctx))
    if output is Format.TABLE:
        _print(findings)
    else:
        emit([{**asdict(finding), "verdict": finding.verdict.value} for finding in findings], output)
    if any(finding.verdict is Verdict.BAD for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    where = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        where.print(f"{_SIGNS[finding.verdict]} {finding.subject}: {finding.text}")
        if finding.remedy:
            where.print(f"    → {finding.remedy}")
