"""What `isthmus` can do with a mesh on this machine: `up`, `down`, `status`, `doctor`, `demo`, `vault`."""

import typer
from isthmus.local.commands import demo, doctor, down, status, up, vault

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree; `isthmus.client.cli` calls this for every installed package."""
    for command in (up, down, status, doctor, demo, vault):
        command.register(app)
