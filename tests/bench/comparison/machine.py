"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from comparison.running import Bench

__all__ = ["facts"]

_GIGABYTE = 1024**3


def facts(bench: Bench) -> list[str]:
    """Gives lines about machine, software and day."""
    with bench.database.as_admin() as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('fsync')"
        ).fetchone()
    assert row is not None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
    return [
        f"Day: {datetime.now(UTC):%Y-%m-%d}",
        f"Processor: {os.cpu_count()} × {_processor()}, {memory:.0f} GB of memory, {platform.system()}",
        f"Python {platform.python_version()}, PostgreSQL {row[0]} (fsync {row[1]}), source on loopback",
        f"Load of the machine when the bench began: {os.getloadavg()[0]:.1f}",
    ]


def _processor() -> str:
    """Names the processor's model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
