"""Gives back the pages of program files that a process has read once and does not use any more."""

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["give_back_idle_code"]

_MAPS = Path("/proc/self/maps")
# madvise(2), Linux 5.4 and later.
_MADV_PAGEOUT = 21


def give_back_idle_code() -> None:
    """Let the kernel take back the pages of program files that this process alone has mapped.

    The launcher reads all of every library once, when it loads them, and nearly none of that afterwards.
    The kernel reads a page again when it is touched, and leaves alone what other processes use. Where it
    does not know the request (before Linux 5.4, other systems) nothing changes.
    """
    with suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        for start, size in _read_only_files():
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_PAGEOUT)


def _read_only_files() -> Iterator[tuple[int, int]]:
    """Yield address and size of each mapping of a file that cannot be written to; see proc_pid_maps(5)."""
    for line in _MAPS.read_text().splitlines():
        addresses, permissions, _offset, _device, _inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith("/") and "w" not in permissions:
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end - start
