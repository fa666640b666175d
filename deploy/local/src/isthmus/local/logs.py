"""Keeps log files short, each in the way its writer allows."""

import io
import os
import shutil
from pathlib import Path

__all__ = ["RotatingLog", "empty", "rotate"]

_LARGEST_LOG = 10 * 1024 * 1024
_KEPT = 3


def rotate(path: Path, largest: int, kept: int = _KEPT) -> bool:
    """Rename a file that has grown too large, and the older ones before it; tells whether it did.

    The writer has to open the file anew.
    """
    if not path.exists() or path.stat().st_size <= largest:
        return False
    for number in range(kept - 1, 0, -1):
        older = _numbered(path, number)
        if older.exists():
            older.replace(_numbered(path, number + 1))
    path.replace(_numbered(path, 1))
    return True


def empty(path: Path, largest: int) -> None:
    """Copy a file that has grown too large and empty it, for writers that keep it open for ever.

    What is written between the two is lost, so this is for logs that nobody counts on.
    """
    if path.exists() and path.stat().st_size > largest:
        shutil.copyfile(path, _numbered(path, 1))
        os.truncate(path, 0)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


class RotatingLog(io.TextIOBase):
    """Standard output and error of a process, kept in files of limited size.

    Only the process itself writes to its file, so it also changes files without losing a line.
    """

    def __init__(self, path: Path, largest: int = _LARGEST_LOG, kept: int = _KEPT) -> None:
        super().__init__()
        self._path = path
        self._largest = largest
        self._kept = kept
        self._size = 0
        self._open()

    def writable(self) -> bool:
        """Say that it is for writing."""
        return True

    def write(self, text: str) -> int:
        """Append a text at once, to a new file when the old one is full."""
        data = text.encode(errors="backslashreplace")
        if self._size + len(data) > self._largest:
            self._rotate()
        self._size += len(data)
        while data:
            data = data[os.write(2, data) :]
        return len(text)

    def _open(self) -> None:
        target = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(target, standard)
        if target > 2:
            os.close(target)
        self._size = self._path.stat().st_size

    def _rotate(self) -> None:
        rotate(self._path, 0, self._kept)
        self._open()
