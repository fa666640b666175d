"""`isthmus apply`, `diff` and `export`: integrations as YAML."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from isthmus.client.cli.context import mesh_of
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.cli.progress import one_by_one, waiting
from isthmus.client.manifest import Options, Outcome, Step, export, plan, read_documents
from isthmus.client.manifest import apply as apply_documents
from isthmus.client.manifest.planning import Action
from isthmus.client.manifest.state import State
from isthmus.client.problem import ExitCode
from rich.console import Console

Files = Annotated[
    list[Path], typer.Option("--file", "-f", help="YAML file, folder, or - for standard input; repeatable.")
]
_STYLES = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.UNCHANGED: "dim"}


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("apply")(apply)
    app.command("diff")(diff)
    app.command("export")(export_all)


def apply(
    ctx: typer.Context,
    file: Files,
    renew_secrets: Annotated[
        bool, typer.Option("--renew-secrets", help="Send the secrets of existing credentials again.")
    ] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Save mappings as drafts, which no flow uses yet.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Have flows use mappings even if some of them break.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Makes the mesh hold what the files say; applying twice changes nothing.

    Example: `isthmus apply -f integrations.yaml`
    """
    documents = read_documents(file)
    mesh = mesh_of(ctx)
    outcomes = []
    options = Options(renew_secrets=renew_secrets, drafts=draft, allow_breaking=force)
    applying = apply_documents(documents, mesh, State(mesh), options)
    for outcome in one_by_one(applying, "applying …"):
        outcomes.append(outcome)
        if output is Format.TABLE:
            _print_outcome(outcome)
    if output is not Format.TABLE:
        emit([_outcome_dict(outcome) for outcome in outcomes], output)
    if any(outcome.warning for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILED)


def diff(ctx: typer.Context, file: Files, output: Output = Format.TABLE) -> None:
    """Shows what applying the files would change; ends with 1 when something would.

    Example: `isthmus diff -f integrations.yaml`
    """
    documents = read_documents(file)
    with waiting("comparing …"):
        steps = plan(documents, State(mesh_of(ctx)))
    if output is Format.TABLE:
        for step in steps:
            _print_step(step)
    else:
        emit([_step_dict(step) for step in steps], output)
    if any(step.action is not Action.UNCHANGED for step in steps):
        raise typer.Exit(ExitCode.FAILED)


def export_all(ctx: typer.Context, output: Output = Format.YAML) -> None:
    """Writes all integrations as YAML; secrets appear as references only.

    Example: `isthmus export > integrations.yaml`
    """
    with waiting("reading …"):
        text = export(State(mesh_of(ctx)))
    if output is Format.JSON:
        import yaml

        emit(list(yaml.safe_load_all(text)), output)
        return
    sys.stdout.write(text)


def _print_outcome(outcome: Outcome) -> None:
    style = _STYLES[outcome.action]
    done = {Action.CREATE: "created", Action.UPDATE: "updated", Action.UNCHANGED: "unchanged"}[outcome.action]
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[{style}]{done:<10}[/{style}] {outcome.kind:<13} {outcome.name}")
    if outcome.warning:
        console.print(f"  [red]{outcome.warning.replace('[', chr(92) + '[')}[/red]")


def _print_step(step: Step) -> None:
    style = _STYLES[step.action]
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[{style}]{step.action:<10}[/{style}] {step.document.kind:<13} {step.document.name}")
    if step.action is Action.UPDATE:
        for change in step.changes:
            console.print(
                f"  {change.path}: {change.before or '(absent)'} → {change.after or '(absent)'}", markup=False
            )


def _outcome_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.kind,
        "name": outcome.name,
        "id": outcome.id,
        "action": str(outcome.action),
        "changes": [vars(change) for change in outcome.changes],
        "warning": outcome.warning,
    }


def _step_dict(step: Step) -> dict[str, Any]:
    return {
        "kind": step.document.kind,
        "name": step.document.name,
        "action": str(step.action),
        "changes": [vars(change) for change in step.changes],
    }
