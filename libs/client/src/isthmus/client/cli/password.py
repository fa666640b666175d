"""Passwords come from a file, the environment or the terminal; never from the command line."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from isthmus.client.problem import ExitCode, Problem

PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File with the password, instead of asking for it.")
]


def password_from(prompt: str, file: Path | None, variable: str = "") -> str:
    """Gets a password from a file, the environment or the terminal; never from the command line."""
    if file is not None:
        try:
            return file.read_text().rstrip("\n")
        except (OSError, ValueError) as error:
            message = f"{file} cannot be read: name a file with the password."
            raise Problem("PASSWORD_FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error
    if variable and os.environ.get(variable):
        return os.environ[variable]
    if not sys.stdin.isatty():
        message = f"Nobody can be asked for the {prompt.lower()}: name a file with --password-file."
        raise Problem("PASSWORD_MISSING", message, exit_code=ExitCode.USAGE)
    return getpass.getpass(f"{prompt}: ")


__all__ = ["PasswordFile", "password_from"]
