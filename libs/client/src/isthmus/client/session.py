"""The session of who has logged in on this machine: kept in a private file, refreshed when it is used."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from isthmus.client.problem import Problem

_FILE = "session.json"
_REFRESH_BEFORE = 30.0


@dataclass(frozen=True)
class Session:
    """What a login leaves behind; printing it never shows a token.

    Attributes:
        user: Whom it lets in, for people.
        refresh_at: When the access token has to be replaced, in Unix seconds.
    """

    user: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_at: float


Refresh = Callable[[str], tuple[str, str, int]]


class SessionFile:
    """Keeps the session in a mesh's folder, readable by nobody else."""

    def __init__(self, home: Path) -> None:
        self._path = home / _FILE

    def read(self) -> Session | None:
        """Gives the session, or None where nobody has logged in."""
        try:
            return Session(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise Problem(
                "SESSION_UNREADABLE", f"{self._path} cannot be read: remove it and run `isthmus login`."
            ) from error

    def begin(self, user: str, access_token: str, refresh_token: str, expires_in: int) -> None:
        """Keeps a session that has begun."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write(Session(user, access_token, refresh_token, _refresh_at(expires_in)))

    def forget(self) -> None:
        """Removes the session from this machine."""
        with suppress(FileNotFoundError):
            self._path.unlink()

    def access_token(self, refresh: Refresh) -> str:
        """Gives an access token that is good for a while, or an empty text where nobody has logged in.

        Of several commands at once one refreshes: a refresh token that came twice would end the session.

        Args:
            refresh: takes a refresh token for access token, refresh token and seconds of life.
        """
        session = self.read()
        if session is None or time.time() < session.refresh_at:
            return session.access_token if session else ""
        with self._alone():
            session = self.read()
            if session is None or time.time() < session.refresh_at:
                return session.access_token if session else ""
            access_token, refresh_token, expires_in = refresh(session.refresh_token)
            self.begin(session.user, access_token, refresh_token, expires_in)
            return access_token

    def _write(self, session: Session) -> None:
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(session)))
        draft.replace(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl

        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _refresh_at(expires_in: int) -> float:
    return time.time() + max(0.0, expires_in - _REFRESH_BEFORE)


__all__ = ["Session", "SessionFile"]
