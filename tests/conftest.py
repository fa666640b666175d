"""A whole mesh, started as a user starts it and asked through its own command line."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from isthmus.testing import shared as public
from isthmus.testing.commands import CommandLine, Done
from isthmus.testing.waiting import PATIENCE_SECONDS, until

ROOT = Path(__file__).resolve().parents[1]

MESH_SETTINGS = {
    # Nothing happens by itself a minute after a test has looked.
    "ISTHMUS_AUDIT_CHECKPOINT_SECONDS": "86400",
    # Passwords are hashed thousands of times; how expensive that is meant to be is tried elsewhere.
    "ISTHMUS_PASSWORD_MEMORY_KIB": "8192",
    "ISTHMUS_PASSWORD_PASSES": "1",
}


@dataclass(frozen=True)
class LocalMesh:
    """A mesh in a folder of its own."""

    home: Path
    commands: CommandLine

    def run(
        self, *arguments: str, env: dict[str, str] | None = None, timeout: float = PATIENCE_SECONDS
    ) -> Done:
        """Runs `isthmus` and gives how it ended, whatever that is."""
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "240", **(env or {})}
        return self.commands.run(["--home", str(self.home), *arguments], environment, timeout=timeout)

    def elsewhere(self, folder: Path) -> "LocalMesh":
        """Gives the command line as it is where nobody has logged in yet."""
        return LocalMesh(folder, self.commands)

    def ok(self, *arguments: str, **options: Any) -> Done:
        """Runs `isthmus` and insists on success."""
        done = self.run(*arguments, **options)
        assert done.code == 0, f"isthmus {' '.join(arguments)} ended with {done.code}\n{done.out}\n{done.err}"
        return done

    def answer(self, *arguments: str, **options: Any) -> Any:
        """Runs `isthmus … --output json` and gives what it answered."""
        return self.ok(*arguments, "--output", "json", **options).json

    def apply(self, text: str, **options: Any) -> Any:
        """Applies documents given as text."""
        file = self.home / "applied.yaml"
        file.write_text(text)
        return self.answer("apply", "-f", str(file), **options)

    def pid(self, process: str) -> int:
        """Gives the process id of a service, host or back end, once it runs: it may just be started again."""

        def found() -> int:
            # Ends with 1 where something is not well.
            status = self.run("status", "--output", "json").json
            return sum(int(item["pid"]) for item in status["processes"] if item["name"] == process)

        return until(found, f"{process} to run")

    @property
    def files(self) -> Path:
        """Folder of files of the first tenant."""
        profile = json.loads((self.home / "cli.json").read_text())
        folder = self.home / "files" / profile["tenant_id"]
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def started(commands: CommandLine, *options: str) -> Iterator[LocalMesh]:
    """Starts a mesh and stops it in the end, when what it has written is searched for planted secrets."""
    # Outside pytest's own folders, which the unprivileged user of PostgreSQL could not enter.
    home = Path(tempfile.mkdtemp(prefix="isthmus-mesh-"))
    mesh = LocalMesh(home, commands)
    try:
        mesh.ok("up", *options, env=MESH_SETTINGS)
        yield mesh
        shown = searched(home)
    finally:
        mesh.run("down")
        shutil.rmtree(home, ignore_errors=True)
    assert shown == [], "secrets that tests have planted can be read there"


def searched(home: Path) -> list[str]:
    """Looks for secrets of all tests in all that a mesh has written; none is there that a test has broken."""
    from subprocess import SubprocessError

    import psycopg
    from isthmus.testing.canaries import leaks

    try:
        return leaks(home)
    except (OSError, ValueError, SubprocessError, psycopg.OperationalError):
        return []


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandLine]:
    """Gives the command line, imported once."""
    with CommandLine() as line:
        yield line


@pytest.fixture(scope="session")
def mesh(commands: CommandLine) -> Iterator[LocalMesh]:
    """Gives a mesh that tests share and none of them breaks."""
    yield from started(commands)


@pytest.fixture
def own_mesh(commands: CommandLine) -> Iterator[LocalMesh]:
    """Gives a mesh that one test may break; the traces of its processes are searched as well."""
    from isthmus.testing.canaries import PLANTED, found
    from isthmus.testing.collector import collecting

    with collecting() as collector:
        yield from started(commands, "--otlp-endpoint", collector.endpoint)
    assert collector.received, "nobody has sent a trace"
    assert found(collector.text, {"planted": PLANTED}) == set(), "a trace shows what a test has planted"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Gives the folder of public data files; tests that need it skip where it is absent."""
    return public.shared("data").parent


@pytest.fixture
def vendor() -> Iterator[Any]:
    """Gives a vendor's HTTP interface."""
    from isthmus.testing.vendor import running_vendor

    with running_vendor() as answering:
        yield answering


@pytest.fixture(scope="session")
def lasting_vendor() -> Iterator[Any]:
    """Gives a vendor's HTTP interface that stays until the end, for what outlives a test."""
    from isthmus.testing.vendor import running_vendor

    with running_vendor() as answering:
        yield answering
