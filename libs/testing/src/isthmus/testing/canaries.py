"""Secrets that tests plant, and a search that finds them wherever they should not be, in whatever form.

Every planted secret begins with the same word. So one search at the end of a mesh's life finds whichever of
them was written anywhere, by whichever test.
"""

import base64
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from isthmus.testing.tables import all_rows

__all__ = [
    "OWN_PLACES",
    "PLANTED",
    "canary",
    "found",
    "found_in_files",
    "found_in_processes",
    "found_in_tables",
    "leaks",
]

PLANTED = "canarysecret"
"""What every planted secret begins with."""
OWN_PLACES = frozenset(
    {"keys", "tls", "cli.json", "nats.conf", "users", "openbao", "admin.password", "auditor.password"}
)
"""Files and folders in the home that are there to hold secrets of the mesh itself."""
_CODE = "bytecode"


def canary(place: str) -> str:
    """Make a secret to be kept in some place, `vendor` or `totp` for example."""
    return f"{PLANTED}{place}{secrets.token_hex(12)}"


def _forms(secret: str) -> list[bytes]:
    """Give a secret as it is, in hexadecimal, and in base64 behind whatever stands before it.

    It has letters and digits only, so quoting for JSON and addresses leaves it as it is.
    """
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), *shifted]


def found(text: bytes, wanted: Mapping[str, str]) -> set[str]:
    """Name the secrets that a text contains in whatever form."""
    return {name for name, secret in wanted.items() if any(form in text for form in _forms(secret))}


def found_in_files(home: Path, wanted: Mapping[str, str]) -> dict[str, set[str]]:
    """Search all files below the home: logs, stores, dumps; give where secrets are."""
    shown = {}
    for path in home.rglob("*"):
        if _CODE in path.parts:
            continue
        with suppress(OSError):
            names = found(path.read_bytes(), wanted) if path.is_file() else set()
            if names:
                shown[str(path.relative_to(home))] = names
    return shown


def found_in_tables(home: Path, wanted: Mapping[str, str]) -> dict[str, set[str]]:
    """Search all rows of all tables, past row-level security; give the tables."""
    tables = {table: found("\n".join(rows).encode(), wanted) for table, rows in all_rows(home)}
    assert len(tables) > 20
    return {table: names for table, names in tables.items() if names}


def found_in_processes(wanted: Mapping[str, str]) -> set[str]:
    """Search the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return found(b"\n".join(lines), wanted)


def leaks(home: Path, secret: str = PLANTED) -> list[str]:
    """Tell where in a mesh's home, its tables and the command lines anything planted can be read."""
    wanted = {"planted": secret}
    files = [path for path in found_in_files(home, wanted) if not {*Path(path).parts} & OWN_PLACES]
    lines = ["command lines"] if found_in_processes(wanted) else []
    return [*files, *found_in_tables(home, wanted), *lines]
