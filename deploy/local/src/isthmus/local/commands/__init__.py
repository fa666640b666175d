"""What `isthmus` can do with a mesh on this machine, from `up` to `down`, and with its secrets."""

import typer
from isthmus.local.commands import demo, doctor, down, nats, secrets, status, up, vault

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree; `isthmus.client.cli` calls this for every installed package."""
    for command in (up, down, status, doctor, demo, vault, nats, secrets):
        command.register(app)
