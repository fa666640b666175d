"""The `isthmus` command."""

from isthmus.client.cli.run import main

__all__ = ["main"]
