"""Runs the command line and turns every failure into one sentence and an exit code."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import grpc
import typer
import typer.exceptions
from isthmus.client.cli.app import app
from isthmus.client.cli.output import note
from isthmus.client.cli.wording import for_people
from isthmus.client.problem import ExitCode, Problem, Violation, problem_from
from rich.console import Console
from typer.main import get_command


def main() -> None:
    """Entry point of `isthmus`; never shows a traceback unless ISTHMUS_DEBUG is set."""
    sys.exit(run(tree()))


def tree() -> Callable[..., Any]:
    """Gives all commands, with those of other packages; a broken package costs its own commands only."""
    for plugin in entry_points(group="isthmus.commands"):
        try:
            plugin.load()(app)
        except Exception as error:
            note(f"warning: the commands of {plugin.value} are left out: {error}")
    return get_command(app)


def run(commands: Callable[..., Any]) -> int:
    """Runs what the arguments of this process say; gives the exit code."""
    try:
        result = commands(standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.exceptions.TyperException as mistake:
        return _misused(mistake)
    except (typer.Abort, KeyboardInterrupt):
        Console(stderr=True).print("stopped", style="dim")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:
        if os.environ.get("ISTHMUS_DEBUG"):
            raise
        return _explain(error)
    return result if isinstance(result, int) else ExitCode.DONE


def _misused(mistake: typer.exceptions.TyperException) -> int:
    """Says what is wrong with the command line, as the parser words it, and where help is."""
    wording = mistake.format_message().rstrip(".")
    if not wording:
        return ExitCode.USAGE  # a group without a command: its help has been shown
    end = "" if wording.endswith("?") else "."
    message = f"{wording}{end} `--help` after the command shows its options."
    return _explain(Problem("USAGE", message, exit_code=ExitCode.USAGE))


def _explain(error: Exception) -> int:
    problem = _as_problem(error)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[red]error:[/red] {_escaped(for_people(problem.message))} [dim]({problem.reason})[/dim]")
    for violation in problem.violations:
        if violation.message == problem.message or _is_told(violation, problem.message):
            continue
        console.print(f"  {_escaped(violation.path)}: {_escaped(violation.message)}")
    return problem.exit_code


def _is_told(violation: Violation, message: str) -> bool:
    return violation.path in message and message.endswith(violation.message)


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, grpc.RpcError):
        return problem_from(error)
    return Problem(
        "UNEXPECTED",
        f"{type(error).__name__}: {error}. Set ISTHMUS_DEBUG=1 to see where, and report it.",
    )


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
