"""What a campaign ran on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["facts"]

_GIGABYTE = 1024**3


def facts() -> list[str]:
    """Give lines about machine, software and day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
    return [
        f"Day: {datetime.now(UTC):%Y-%m-%d}",
        f"Processor: {os.cpu_count()} × {_processor()}, {memory:.0f} GB of memory, {platform.system()}",
        f"Python {platform.python_version()}",
        f"Load of the machine at the beginning: {os.getloadavg()[0]:.1f}",
    ]


def _processor() -> str:
    """Name the processor's model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
