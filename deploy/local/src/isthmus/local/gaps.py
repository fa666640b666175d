"""Fills the gaps between the launcher's objects, so that nothing it forks writes there.

After a fork both sides share every page that neither writes to. What a child makes goes where an
allocator finds room, and that is first of all between what it has inherited: an object of 64 bytes in
such a gap takes a copy of a page of 4 KB. Where there are no gaps, what a child makes lies close together
on pages of its own.
"""

import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["fill_gaps"]

# A line of the statistics: number and size of a class, its pools, and its blocks that are used and free.
_CLASS = re.compile(r"^ *\d+ +(?P<size>\d+) +\d+ +\d+ +(?P<free>\d+)$", re.MULTILINE)
_SIZE_OF_EMPTY_BYTES = sys.getsizeof(b"")
_SMALLEST_BYTES = 48
_LARGEST_CHUNK = 64 * 1024
_MOST_OF_A_SIZE = 64 * 1024 * 1024
_SMALL_CHUNK = 1024
_STEP = 16
_STDERR = 2

_filling: list[object] = []


def fill_gaps() -> None:
    """Take the memory that is free between objects, for as long as this process lives."""
    for size, free in list(_free_blocks()):
        _filling.append([_object(size, number) for number in range(free)])
    if sys.platform == "linux":
        with suppress(AttributeError):
            _fill_heap()


def _object(size: int, number: int) -> object:
    """Make an object of a size, in bytes, that the collector does not know of."""
    if size >= _SMALLEST_BYTES:
        return bytes(size - _SIZE_OF_EMPTY_BYTES)
    return object() if size == _STEP else (1 << 29) + number


def _free_blocks() -> Iterator[tuple[int, int]]:
    """Yield the sizes of blocks that the interpreter has free, and how many of each."""
    with tempfile.TemporaryFile() as statistics, _stderr_to(statistics.fileno()):
        sys._debugmallocstats()
        statistics.seek(0)
        text = statistics.read().decode()
    for found in _CLASS.finditer(text):
        yield int(found["size"]), int(found["free"])


@contextmanager
def _stderr_to(file: int) -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    os.dup2(file, _STDERR)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


def _fill_heap() -> None:
    """Do the same for what libraries written in C have freed; malloc(3), sbrk(2)."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes = (ctypes.c_size_t,)
    libc.sbrk.argtypes = (ctypes.c_ssize_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    libc.free.restype = None
    end = libc.sbrk(0)
    size = _LARGEST_CHUNK
    while size >= _STEP:
        for _ in range(_MOST_OF_A_SIZE // size):
            chunk = libc.malloc(size)
            if not chunk or chunk >= end:
                libc.free(chunk)
                break
        size = size // 2 if size > _SMALL_CHUNK else size - _STEP
