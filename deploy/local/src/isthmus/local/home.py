"""The folder in which everything of one local mesh lies."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from isthmus.local.private import private_folder

__all__ = ["Home"]

_LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True)
class Home:
    """Names the files of a local mesh; nobody else spells their paths."""

    root: Path

    def prepare(self) -> None:
        """Make the folders that are missing, closed to everybody else."""
        private_folder(self.root)
        for folder in (self.run, self.logs, self.keys, self.tls, self.files):
            private_folder(folder)

    @property
    def run(self) -> Path:
        """What matters only while the mesh runs, and the ports."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def keys(self) -> Path:
        """Private keys of the mesh's processes and passwords of its database roles."""
        return self.root / "keys"

    @property
    def files(self) -> Path:
        """What the connector `files` may read and write, one folder for each tenant."""
        return self.root / "files"

    @property
    def tls(self) -> Path:
        """Certificates of the mesh's processes with their keys, and the authority that vouches for them."""
        return self.root / "tls"

    @property
    def trust_file(self) -> Path:
        """Public keys of the mesh's processes, and what each may do."""
        return self.root / "trust.json"

    @property
    def mesh_file(self) -> Path:
        """Where everything listens; holds no secrets."""
        return self.root / "mesh.json"

    @property
    def profile_file(self) -> Path:
        """How the command line gets in; holds the administrator's API key."""
        return self.root / "cli.json"

    @property
    def options_file(self) -> Path:
        """What the last `isthmus up` was told about servers outside."""
        return self.root / "options.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the launcher as long as it lives; holds its process id."""
        return self.run / "launcher.lock"

    @property
    def processes_file(self) -> Path:
        """Process ids of the last start, so that the next one can clear away what a crash has left."""
        return self.run / "processes.json"

    @property
    def socket(self) -> Path:
        """Where the launcher takes commands; outside the home when its path is too long for a socket."""
        here = self.run / "launcher.sock"
        if len(os.fsencode(here)) <= _LONGEST_SOCKET_PATH:
            return here
        mark = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"isthmus-{os.getuid()}-{mark}" / "launcher.sock"

    def log(self, process: str) -> Path:
        """Name the log file of a process."""
        return self.logs / f"{process}.log"
