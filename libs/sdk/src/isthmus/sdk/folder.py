"""The folder outside of which nothing is read or written."""

import errno
import os
import stat
from pathlib import Path

from isthmus.sdk.failures import ConfigurationFailure, NotFound, PermissionFailure

# What a disk or a network file system may say and take back: worth another try.
PASSING = frozenset(
    {
        errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK,
        errno.EDEADLK, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.EHOSTDOWN, errno.EHOSTUNREACH,
        errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ENOTCONN,
    }
)  # fmt: skip
ROOT_VARIABLE = "ISTHMUS_FILES_ROOT"


class Root:
    """Opens files below one folder; symbolic links may not lead out of it.

    A path is resolved first and then opened step by step without following
    links, so that nobody can swap a folder for a link in between.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            message = f"{self.folder} is no folder; the operator has to create it or correct {ROOT_VARIABLE}."
            raise ConfigurationFailure("FILES_ROOT_MISSING", message)

    @classmethod
    def from_environment(cls, tenant_id: str = "") -> "Root":
        """The folder that the operator allows; each tenant has one of its own below it.

        Raises:
            ConfigurationFailure: `FILES_ROOT_MISSING`, when there is none.
        """
        folder = os.environ.get(ROOT_VARIABLE, "")
        if not folder:
            message = f"No folder is open to files; the operator has to set {ROOT_VARIABLE}."
            raise ConfigurationFailure("FILES_ROOT_MISSING", message)
        if not tenant_id:
            return cls(folder)
        own = cls(folder).folder / tenant_id
        own.mkdir(mode=0o750, exist_ok=True)
        return cls(own)

    def find(self, path: str) -> list[Path]:
        """The files that a path or pattern names, in the order of their names.

        Raises:
            NotFound: `FILE_MISSING`, for a plain path; a pattern may fit nothing.
            PermissionFailure: `PATH_FORBIDDEN`.
            OSError: The file system failed.
        """
        if not any(mark in path for mark in "*?["):
            found = self.inside(path)
            try:
                found.stat()
            except (FileNotFoundError, NotADirectoryError):
                message = f"There is no file {path} below the allowed folder; check the path."
                raise NotFound("FILE_MISSING", message, path="path") from None
            return [found]
        # Patterns pass over what they cannot list, so a folder that is away would look empty.
        os.scandir(self.folder).close()
        matches = (match for match in self.folder.glob(path) if not match.name.startswith("."))
        return sorted(
            {self.inside(str(match.relative_to(self.folder))) for match in matches if match.is_file()}
        )

    def inside(self, path: str) -> Path:
        """The resolved path.

        Raises:
            PermissionFailure: `PATH_FORBIDDEN`, when it lies outside of the folder.
        """
        resolved = (self.folder / path).resolve()
        if resolved == self.folder or not resolved.is_relative_to(self.folder):
            message = f"{path} leads out of the allowed folder; only files below it are open."
            raise PermissionFailure("PATH_FORBIDDEN", message)
        return resolved

    def open(self, path: Path, flags: int = os.O_RDONLY) -> int:
        """Opens a regular file and gives its descriptor.

        Raises:
            NotFound: `FILE_MISSING`.
            PermissionFailure: `PATH_FORBIDDEN` or `FILE_UNREADABLE`.
            OSError: One of `PASSING`.
        """
        names = path.relative_to(self.folder).parts
        here = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names[:-1]:
                there = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
                os.close(here)
                here = there
            # Without O_NONBLOCK a named pipe would wait for its other end.
            opened = os.open(names[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640, dir_fd=here)
        except FileNotFoundError:
            raise NotFound("FILE_MISSING", f"{self.name(path)} is gone; check the path.") from None
        except OSError as error:
            if error.errno in PASSING:
                raise
            message = f"{self.name(path)} cannot be opened ({error.strerror}); check its permissions."
            raise PermissionFailure("FILE_UNREADABLE", message) from None
        finally:
            os.close(here)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise PermissionFailure("PATH_FORBIDDEN", f"{self.name(path)} is no regular file; name a file.")
        return opened

    def name(self, path: Path) -> str:
        """The path as people wrote it: relative to the folder."""
        return path.relative_to(self.folder).as_posix()

    def folders_for(self, path: str) -> Path:
        """The resolved path of a file to write, its folders made."""
        target = self.inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.inside(path)
