"""The source's process as the bench sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from comparison.meters import cpu_of

__all__ = ["Vendor", "running_vendor"]


@dataclass(frozen=True)
class Vendor:
    """A running source.

    Attributes:
        url: Its base address.
        pid: Its process.
    """

    url: str
    pid: int

    def behave(self, **behaviour: int | str | bool) -> None:
        """Sets how it answers from now on and forgets what it has served; see `source.Behaviour`."""
        given = {name: int(value) if isinstance(value, bool) else value for name, value in behaviour.items()}
        self._ask(f"/control?{urlencode(given)}")

    def stats(self) -> dict[str, Any]:
        """Tells what it has served since `behave`."""
        found: dict[str, Any] = json.loads(self._ask("/stats"))
        return found

    def cpu(self) -> float:
        """Tells the processor time that it has used."""
        return cpu_of(self.pid)

    def _ask(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def running_vendor(pages: Path) -> Iterator[Vendor]:
    """Runs the source over rendered pages until the block ends."""
    home = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "comparison.source", str(pages)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(home)},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the source did not start; it ended with {process.wait()}")
        yield Vendor(url, process.pid)
    finally:
        process.terminate()
        process.wait()
