"""Gives back the pages of program files that a process has read once and does not use any more."""

import asyncio
import ctypes
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["give_back_idle_code", "giving_back"]

_AREAS = Path("/proc/self/smaps")
# madvise(2).
_MADV_DONTNEED = 4
_SETTLED_SECONDS = 3.0


def give_back_idle_code() -> None:
    """Take the pages of program files out of this process; each is mapped again when it is touched.

    Who starts reads much of every library once, and nearly none of that afterwards.
    Only areas that hold nothing but the file's own content are given back: where the loader has written
    addresses into an area, those would be lost. Other systems than Linux are left as they are.
    """
    with suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        for start, size in list(_unchanged_files()):
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_DONTNEED)


def giving_back(ready: Callable[[int], None]) -> Callable[[int], None]:
    """Let a process give back the code of its start, and again that of the first calls it has answered."""

    def started(port: int) -> None:
        ready(port)
        give_back_idle_code()
        asyncio.get_running_loop().call_later(_SETTLED_SECONDS, give_back_idle_code)

    return started


def _unchanged_files() -> Iterator[tuple[int, int]]:
    """Yield address and size of each read-only area that is a file's content; see proc_pid_smaps(5)."""
    area: tuple[int, int] | None = None
    with _AREAS.open() as lines:
        for line in lines:
            first, *rest = line.split(maxsplit=5)
            if not first.endswith(":"):
                of_file = len(rest) == 5 and rest[4].startswith("/") and "w" not in rest[0]
                start, end = (int(address, 16) for address in first.split("-"))
                area = (start, end - start) if of_file else None
            elif first == "Anonymous:" and rest[0] == "0" and area is not None:
                yield area
