"""The user a server runs as when we are root and the server refuses to be."""

import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from isthmus.local.backends.base import BackendFailed
from isthmus.local.private import write_private

__all__ = ["Account", "adopt", "may_reach", "server_account"]

_STATE = Path("/var/lib/isthmus")
_CANDIDATES = ("postgres", "nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An unprivileged user of this machine."""

    uid: int
    gid: int
    name: str

    def own(self, path: Path) -> None:
        """Hand a file, or a folder with all that is in it, to this user."""
        os.chown(path, self.uid, self.gid)
        if path.is_dir():
            for folder, folders, files in os.walk(path):
                for name in (*folders, *files):
                    os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)

    def place(self, home: Path, folder: Path) -> Path:
        """Find a place for its data: the folder in the home, or one outside when the home is out of reach."""
        link = folder / "elsewhere"
        if not link.is_symlink():
            if may_reach(self, home):
                home.chmod(home.stat().st_mode | stat.S_IXOTH)
                folder.chmod(0o711)
                return folder
            _sweep()
            outside = _STATE / f"{folder.name}-{secrets.token_hex(6)}"
            outside.mkdir(mode=0o711, parents=True)
            write_private(outside / "link", str(link.absolute()))
            link.symlink_to(outside)
        return link.resolve()


def _sweep() -> None:
    """Remove the data of homes that have been deleted."""
    for mark in _STATE.glob("*/link"):
        link = Path(mark.read_text())
        if not link.is_symlink() or link.resolve() != mark.parent:
            shutil.rmtree(mark.parent)


def server_account() -> Account | None:
    """Choose a user for servers that refuse to be root; `None` when we are not root.

    Raises:
        BackendFailed: this machine has no other user.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise BackendFailed(
            "PostgreSQL refuses to run as root; create a user for it with `useradd postgres`."
        )
    return Account(others[0].pw_uid, others[0].pw_gid, others[0].pw_name)


def may_reach(account: Account, path: Path) -> bool:
    """Tell whether the user may enter every folder on the way to this path, which itself we can open up."""
    return all(_may_enter(account, folder.stat()) for folder in path.resolve().parents)


def _may_enter(account: Account, facts: os.stat_result) -> bool:
    if facts.st_uid == account.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == account.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def adopt(account: Account, install: Path) -> Path:
    """Give an installation of PostgreSQL that the user can run: the one at hand, or a copy of it."""
    if may_reach(account, install / "bin" / "postgres"):
        return install
    facts = (install / "bin" / "postgres").stat()
    copy = _STATE / f"programs-{facts.st_size}-{facts.st_mtime_ns}"
    if not copy.exists():
        _STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = copy.with_name(f".{copy.name}.{os.getpid()}")
        package = install.parent
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, draft / folder.name, symlinks=True)
        draft.chmod(0o755)
        draft.replace(copy)
    return copy / install.parent.name / install.name
