"""Environments of the peers: installed below `.bench`, apart from the product's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Unavailable", "environment"]

_INSTALL_SECONDS = 600


class Unavailable(Exception):
    """A peer cannot be installed here; the message says why."""


def environment(cache: Path, packages: Sequence[str], progress: Callable[[str], None]) -> Path:
    """Gives the `bin` folder of an environment with the packages; installs them when they are missing.

    Raises:
        Unavailable: the package index cannot be reached, or has no such package.
    """
    wanted = "\n".join([sys.version, *packages])
    folder = cache / f"env-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    ready = folder / "installed.txt"
    if ready.exists():
        return folder / "bin"
    progress(f"installing {', '.join(packages)} …")
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parents[1] / 'boot' / 'bin'}:{os.environ['PATH']}")
    if uv is None:
        raise Unavailable("uv is not installed; run it by `make bench`")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages])
    ready.write_text(wanted)
    return folder / "bin"


def _run(command: Sequence[str]) -> None:
    known = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False, env=known
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"the package index did not deliver within {_INSTALL_SECONDS} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise Unavailable(f"cannot be installed: {reason}")
