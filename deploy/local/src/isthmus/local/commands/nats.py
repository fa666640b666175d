"""`isthmus nats`: prepares a NATS outside for the mesh."""

from pathlib import Path
from typing import Annotated

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.problem import Problem
from isthmus.local.backends.nats_users import NatsUsers
from isthmus.local.names import HUB
from isthmus.local.preload import connector_names
from isthmus.local.private import write_private

__all__ = ["register"]

_ACCOUNTS = "accounts.conf"


def register(app: typer.Typer) -> None:
    """Add `nats`."""
    group = typer.Typer(help="A NATS of your own.", no_args_is_help=True)
    group.callback()(lambda: None)  # keeps `config` a word of its own
    group.command(epilog="Example: `isthmus nats config ./nats-users`")(config)
    app.add_typer(group, name="nats")


def config(
    folder: Annotated[Path, typer.Argument(help="Where accounts, passwords and the issuer's seed lie.")],
    connector: Annotated[
        list[str] | None,
        typer.Option("--connector", help="Beside those installed here, one that may have hosts; repeatable."),
    ] = None,
    output: Output = Format.YAML,
) -> None:
    """Writes accounts, users and permissions for a NATS of your own, and the passwords of processes.

    `accounts.conf` is for an `include` of the servers' configuration, which needs JetStream; every server of
    a cluster gets the same one. Then `isthmus up --nats-url tls://… --nats-users FOLDER`. It may be run
    again: passwords stay.
    """
    users = NatsUsers(folder.absolute())
    names = [HUB, *connector_names(), *(connector or [])]
    try:
        write_private(users.folder / _ACCOUNTS, users.accounts(names))
    except OSError as error:
        message = f"{folder} cannot be written ({error.strerror}): choose another folder."
        raise Problem("FOLDER_UNUSABLE", message) from error
    written = sorted(path.stem for path in users.folder.glob("*.password"))
    emit({"include": str(users.folder / _ACCOUNTS), "users": written}, output)
