"""Opens the place where runners take turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comparison.database import Database
from comparison.documents import LATENCY_STREAM, SECRET, SMALL_STREAMS, instances
from comparison.isthmus_runners import ThroughPostgres
from comparison.mesh import running_mesh
from comparison.pages import render
from comparison.running import Bench
from comparison.vendor import running_vendor

__all__ = ["Progress", "open_bench"]

_EVERY_SECONDS = 0.2


class Progress:
    """Shows lines that replace one another on a terminal; elsewhere only those that end with a line break."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        """Shows a line, unless it comes too soon after the one before and does not end."""
        stays, now = line.endswith("\n"), time.monotonic()
        if not stays and (not self._is_terminal or now < self._shown_at + _EVERY_SECONDS):
            return
        self._shown_at = now
        sys.stderr.write(f"\r\x1b[K{line}" if self._is_terminal else line)
        sys.stderr.flush()


@contextmanager
def open_bench(cache: Path, records: int) -> Iterator[Bench]:
    """Renders pages, and runs source, mesh and database until the block ends."""
    progress = Progress()
    cache.mkdir(exist_ok=True)
    pages = render(cache, records, progress)
    with running_vendor(pages) as vendor:
        progress("starting a mesh")
        with running_mesh() as mesh:
            database = Database.made(mesh.home, mesh.pid("postgres"))
            # A destination that is open already does not see tables that are made later.
            for table in (ThroughPostgres.stream, LATENCY_STREAM, *SMALL_STREAMS):
                database.fresh_table(table)
            mesh.apply(instances(vendor.url, database), **{SECRET: database.secret})
            yield Bench(vendor, database, mesh, cache.absolute(), progress, records)
