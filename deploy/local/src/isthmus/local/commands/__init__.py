"""What `isthmus` can do with a mesh on this machine: `up`, `down`, `status`, `doctor`, `demo`."""

import typer
from isthmus.local.commands import demo, doctor, down, status, up

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree; `isthmus.client.cli` calls this for every installed package."""
    for command in (up, down, status, doctor, demo):
        command.register(app)
