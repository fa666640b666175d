"""`isthmus secrets`: where secrets are kept, and how they get from one place to another."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.problem import Problem
from isthmus.local.commands.common import console, local_home, working
from isthmus.local.options import Options
from isthmus.local.safekeeping import archive_of, vault_state
from isthmus.resilience.faults import Fault

if TYPE_CHECKING:
    from isthmus.kit.vault import Archive

__all__ = ["explained", "register"]

_TELL_EVERY = 25
_PLACES = "`openbao`, `openbao:URL`, `azure:https://NAME.vault.azure.net`, `environment` or `file:PATH`"


def register(app: typer.Typer) -> None:
    """Add `secrets`."""
    group = typer.Typer(help="Where secrets are kept.", no_args_is_help=True)
    group.command(
        name="copy", epilog="Example: `isthmus secrets copy --from openbao --to file:./secrets --dry-run`"
    )(copy_secrets)
    group.command(epilog="Example: `isthmus secrets status --output json`")(status)
    group.command(epilog="Example: `isthmus secrets key > secrets.key`")(key)
    group.command("signing-key", epilog="Example: `isthmus secrets signing-key > signing-keys.json`")(
        signing_key
    )
    app.add_typer(group, name="secrets")


def copy_secrets(
    ctx: typer.Context,
    source: Annotated[str, typer.Option("--from", help=f"Where they are: {_PLACES}.")],
    target: Annotated[str, typer.Option("--to", help="Where they go, said in the same way.")],
    from_key_file: Annotated[
        Path | None, typer.Option(help="Key of a sealed file that is read; by default the home's.")
    ] = None,
    to_key_file: Annotated[
        Path | None, typer.Option(help="Key of a sealed file that is written; by default the home's.")
    ] = None,
    from_token_file: Annotated[
        Path | None, typer.Option(help="Token for all of secret/isthmus/ in an OpenBao that is read.")
    ] = None,
    to_token_file: Annotated[
        Path | None, typer.Option(help="Token for all of secret/isthmus/ in an OpenBao that is written.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be copied.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace secrets of the target that differ.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Copies all secrets with their versions, and reads each back to see that it arrived; shows no value.

    `openbao` without an address is the one that came along with the mesh, which has to be up. Stop whoever
    enters secrets meanwhile. It may be repeated: what is there already is left alone. Ends with 1 when a
    secret of the target differs.
    """
    home = local_home(ctx)
    with explained():
        origin = archive_of(home, source, from_key_file, from_token_file)
        goal = archive_of(home, target, to_key_file, to_token_file)
        with working("copying …"):
            found = asyncio.run(_copied(origin, goal, dry_run=dry_run, overwrite=overwrite))
    _show(found, output)
    if any(one["result"] == "differs" for one in found):
        console().print("Secrets that differ were left alone; --overwrite replaces them.")
        raise typer.Exit(1)


def status(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Tells where the mesh of this home keeps its secrets, and whether it can be reached."""
    home = local_home(ctx)
    with working("asking …"):
        state = vault_state(home, Options.load(home))
    _show([state], output)
    if not state["usable"]:
        raise typer.Exit(1)


def key() -> None:
    """Prints a new key for a file of secrets; keep it where the file is not."""
    from isthmus.kit.vault.sealed_file import new_key

    typer.echo(new_key())


def signing_key() -> None:
    """Prints the keys that sign access tokens, with another one behind those of now.

    For secrets that come from the environment: those of now are read from
    ISTHMUS_SECRET_IDENTITY__SIGNING_KEYS, and what is printed is its next value.
    """
    from datetime import UTC, datetime

    from isthmus.kit.vault.environment import variable_of
    from isthmus.services.identity.signing import with_new_key

    present = os.environ.get(variable_of("isthmus/identity/signing-keys"), "{}")
    typer.echo(json.dumps(with_new_key(json.loads(present), datetime.now(UTC))))


async def _copied(
    source: "Archive", target: "Archive", *, dry_run: bool, overwrite: bool
) -> list[dict[str, object]]:
    from isthmus.kit.vault.copying import copy

    where = console()
    found: list[dict[str, object]] = []
    try:
        async for one in copy(source, target, dry_run=dry_run, overwrite=overwrite):
            found.append({"path": one.path, "result": one.result.value, "versions": one.versions})
            if where.is_terminal and len(found) % _TELL_EVERY == 0:
                where.print(f"{len(found)} looked at …")
    finally:
        await source.close()
        await target.close()
    return found


def _show(found: list[dict[str, object]], output: Format) -> None:
    if output is not Format.TABLE:
        emit(found, output)
        return
    for one in found:
        typer.echo("  ".join(str(value) for value in one.values()))


@contextmanager
def explained() -> Iterator[None]:
    """Turn faults into what commands tell."""
    try:
        yield
    except Fault as fault:
        raise Problem(fault.reason, fault.message) from None
