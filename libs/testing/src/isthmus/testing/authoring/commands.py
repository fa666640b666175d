"""`isthmus connector` and `isthmus sandbox`."""

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from isthmus.client.cli.output import Format, Output, emit, note
from isthmus.client.problem import Problem

if TYPE_CHECKING:
    from isthmus.sdk.sandbox import Sandbox
    from isthmus.testing.conformance import Subject, Verdict

__all__ = ["register"]

_group = typer.Typer(help="For authors of connectors.", no_args_is_help=True)
_FAILED = 1
_MARKS = {"passed": "[green]passed[/green] ", "failed": "[red]failed[/red] ", "skipped": "[dim]skipped[/dim]"}


class Level(StrEnum):
    """How often requests to a sandbox go wrong."""

    NONE = "none"
    LIGHT = "light"
    HEAVY = "heavy"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="connector")
    app.command("sandbox", epilog="Example: `isthmus sandbox ./acme-itsm --size 500 --faults light`")(sandbox)


@_group.command("new")
def new_connector(
    name: Annotated[str, typer.Argument(help="Of the connector: lower case and hyphens, like acme-itsm.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where to; a folder of the connector's name unless it is given.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Writes a connector that works: settings, streams, webhook, sandbox, test and README.

    Example: `isthmus connector new acme-itsm`
    """
    from isthmus.testing.scaffold import scaffold

    target = folder or Path(name)
    try:
        written = scaffold(name, target)
    except (ValueError, FileExistsError) as error:
        raise Problem("CONNECTOR_NOT_MADE", str(error)) from error
    if output is not Format.TABLE:
        emit({"folder": str(target), "files": [str(path) for path in written]}, output)
        return
    typer.echo(f"{len(written)} files in {target}; see README.md there.")
    typer.echo(f"Next: isthmus connector test {target if target.is_absolute() else f'./{target}'}")


@_group.command("test")
def try_connector(
    what: Annotated[
        str, typer.Argument(help="A folder, the id of an installed connector, or host:port of a running one.")
    ],
    check: Annotated[str, typer.Option(help="Only checks whose names begin so, `read` for example.")] = "",
    configuration: Annotated[
        Path | None, typer.Option(help="JSON or YAML with the configuration, for a running connector.")
    ] = None,
    credential: Annotated[
        Path | None, typer.Option(help="JSON or YAML with the credential, for a running connector.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Tries a connector, in any language, by the conformance kit; exits 1 where a check fails.

    What needs control over the connector's system is tried against its sandbox, where it ships one.

    Example: `isthmus connector test ./acme-itsm --check read`
    """
    from isthmus.testing import conformance

    if not any(name.startswith(check) for name in conformance.CHECKS):
        listed = ", ".join(sorted({name.partition(".")[0] for name in conformance.CHECKS}))
        raise Problem("CHECK_UNKNOWN", f"No check begins with {check!r}: there are {listed}.")
    found = _apart(_judged(what, check, configuration, credential, is_told=output is Format.TABLE))
    if output is not Format.TABLE:
        emit([{"check": one.check.name, "outcome": one.outcome, "why": one.why} for one in found], output)
    failed = sum(one.outcome == "failed" for one in found)
    if output is Format.TABLE:
        passed, skipped = (sum(one.outcome == kind for one in found) for kind in ("passed", "skipped"))
        typer.echo(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        raise typer.Exit(_FAILED)


def sandbox(
    what: Annotated[str, typer.Argument(help="A folder, or the id of an installed connector.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Other seeds make other data.")] = 7,
    size: Annotated[int, typer.Option(min=0, help="How many records of each kind.")] = 100,
    faults: Annotated[Level, typer.Option(help="How often requests go wrong.")] = Level.NONE,
    output: Output = Format.YAML,
) -> None:
    """Serves the sandbox of a connector's system on this machine, until it is stopped by Ctrl-C."""
    from isthmus.testing.authoring.finding import find

    found = find(what)
    if found.sandbox is None:
        raise Problem("SANDBOX_UNKNOWN", f"The connector {found.name} ships no sandbox.")
    made = found.sandbox(seed=seed, size=size, faults=faults.value)
    with suppress(KeyboardInterrupt):
        _apart(_serve(made, found.name, port, output))


async def _serve(made: "Sandbox", name: str, port: int, output: Format) -> None:
    async with made.serving(port=port) as url:
        told = {
            "url": url,
            "instance": {"connector": name, "configuration": made.configuration(url)},
            "credential": made.credential(),
        }
        emit(told, Format.JSON if output is Format.JSON else Format.YAML)
        note("serving; stop it by Ctrl-C")
        await asyncio.Event().wait()


async def _judged(
    what: str, check: str, configuration: Path | None, credential: Path | None, *, is_told: bool
) -> "list[Verdict]":
    from isthmus.testing.conformance import verdicts

    found = []
    async for one in verdicts(_opener(what, configuration, credential), check):
        found.append(one)
        if is_told:
            _tell(one)
    return found


def _opener(what: str, configuration: Path | None, credential: Path | None) -> Any:
    """What opens the connector for one check after another."""
    from isthmus.connector.v1 import connector_pb2
    from isthmus.testing.authoring.finding import find
    from isthmus.testing.conformance import LIMITS, beside, reaching

    if ":" in what and not Path(what).exists():
        binding = connector_pb2.Binding(
            configuration=_json(configuration), credential=_json(credential), limits=json.dumps(LIMITS)
        )
        return lambda: reaching(what, binding)
    found = find(what)
    if found.sandbox is None:
        message = f"{found.name} ships no sandbox: serve it, and give its address with --configuration."
        raise Problem("SANDBOX_UNKNOWN", message)
    make = found.sandbox

    def opened() -> "AbstractAsyncContextManager[Subject]":
        return beside(found.connector, make())

    return opened


def _json(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return json.dumps(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise Problem("FILE_UNUSABLE", f"{file} cannot be read: {error}.") from error


def _tell(one: "Verdict") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    why = f"  {escape(one.why)}" if one.why else ""
    says = escape(one.check.says) if one.outcome == "failed" else ""
    console.print(f"{_MARKS[one.outcome]}  {one.check.name:<24}{why or ''}")
    if says:
        console.print(f"         {says}", style="dim")


def _apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run something in a loop of its own, whatever else this process does."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()
