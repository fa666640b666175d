"""Secrets that tests plant, and a search that finds them wherever they should not be, in whatever form.

Every planted secret begins with the same word. So one search at the end of a mesh's life finds whichever of
them was written anywhere, by whichever test.
"""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

__all__ = [
    "DUMP",
    "OWN_PLACES",
    "PLANTED",
    "canary",
    "found",
    "found_in_dump",
    "found_in_environments",
    "found_in_files",
    "found_in_processes",
    "found_in_tables",
    "leaks",
    "note",
    "noted",
    "watch_errors",
]

PLANTED = "canarysecret"
"""What every planted secret begins with."""
OWN_PLACES = frozenset(
    {"keys", "tls", "cli.json", "nats.conf", "users", "openbao", "admin.password", "auditor.password"}
)
"""Files and folders in the home that are there to hold secrets of the mesh itself."""
DUMP = "dump of the database"
"""What `leaks` calls a backup of the whole server."""
_CODE = "bytecode"
_watched: list[Any] = []
_noted: list[str] = []


def canary(place: str) -> str:
    """Make a secret to be kept in some place, `vendor` or `totp` for example."""
    return f"{PLANTED}{place}{secrets.token_hex(12)}"


@lru_cache(maxsize=100)
def _forms(secret: str) -> tuple[bytes, ...]:
    """Give a secret as it is, in hexadecimal, and in base64 behind whatever stands before it.

    It has letters and digits only, so quoting for JSON and addresses leaves it as it is.
    """
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return (raw, raw.hex().encode(), raw.hex().upper().encode(), *shifted)


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
    from isthmus.testing.tables import all_rows

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


def found_in_dump(home: Path, wanted: Mapping[str, str]) -> set[str]:
    """Search a backup of the whole database server: definitions, comments, roles and large objects, too."""
    from isthmus.local.backends.postgres import postgres_install
    from isthmus.testing.tables import place_of

    place = place_of(home)
    program = postgres_install() / "bin" / "pg_dumpall"
    command = [
        str(program),
        "--no-sync",
        *(f"--{name}={place[name]}" for name in ("host", "port", "username")),
    ]
    dump = subprocess.run(  # noqa: S603 -- a program of the installation
        command, env={**os.environ, "PGPASSWORD": place["password"]}, capture_output=True, check=True
    )
    assert b"CREATE TABLE" in dump.stdout
    return found(dump.stdout, wanted)


def found_in_environments(home: Path, wanted: Mapping[str, str]) -> set[str]:
    """Search what the processes of a mesh were started with; each names its home on its command line."""
    known = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(home).encode() in (process / "cmdline").read_bytes():
                known.append((process / "environ").read_bytes())
    return found(b"\n".join(known), wanted)


def watch_errors() -> None:
    """Look from now on into every error with which a call that this process makes by gRPC ends.

    Message, details and metadata are looked at as they came, whatever the caller makes of them. Does nothing
    until somebody has imported gRPC, and nothing when it is called again.
    """
    aio: Any = sys.modules.get("grpc.aio")
    if aio is None or aio in _watched:
        return
    _watched.append(aio)
    begin = aio.AioRpcError.__init__

    @wraps(begin)
    def watched(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        metadata = [*(self.initial_metadata() or ()), *(self.trailing_metadata() or ())]
        parts = [self.details(), self.debug_error_string(), *(value for _, value in metadata)]
        note("an error of a call", *parts)

    aio.AioRpcError.__init__ = watched


def note(where: str, *parts: str | bytes | None) -> None:
    """Remember that something shows a planted secret, if it does."""
    text = b"\n".join(part if isinstance(part, bytes) else (part or "").encode() for part in parts)
    if found(text, {"planted": PLANTED}):
        _noted.append(where)


def noted() -> list[str]:
    """Return what has shown planted secrets since this was asked last."""
    shown = list(_noted)
    _noted.clear()
    return shown


def leaks(home: Path, secret: str = PLANTED) -> list[str]:
    """Tell where anything planted is in what a mesh has written, and in its processes as others see them."""
    wanted = {"planted": secret}
    files = [path for path in found_in_files(home, wanted) if not {*Path(path).parts} & OWN_PLACES]
    elsewhere = {
        "command lines": found_in_processes(wanted),
        "environments of processes": found_in_environments(home, wanted),
        DUMP: found_in_dump(home, wanted),
    }
    return [*files, *found_in_tables(home, wanted), *(place for place, names in elsewhere.items() if names)]
