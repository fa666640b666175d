"""The launcher's socket: one JSON object a line, one answer."""

import contextlib
import json
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.local.private import private_folder

__all__ = ["ControlSocket", "LauncherGone", "tell"]

_LONGEST_LINE = 65_536
_ANSWER_SECONDS = 10.0

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class LauncherGone(Exception):
    """Nobody answers on the socket: the mesh does not run, or its launcher is stuck."""


def tell(path: Path, command: dict[str, Any], timeout: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Send one command to a launcher and return its answer.

    Raises:
        LauncherGone: nobody answers.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(str(path))
            client.sendall(json.dumps(command).encode() + b"\n")
            with client.makefile("rb") as answer:
                found = json.loads(answer.readline())
        except (OSError, ValueError) as error:
            raise LauncherGone(f"The launcher does not answer on {path}.") from error
    return found if isinstance(found, dict) else {}


class ControlSocket:
    """Listens for commands without a thread: `wait` serves whoever has something to say.

    Args:
        path: Of the socket; only our user may connect.
        handler: Turns a command into an answer; must not wait.
    """

    def __init__(self, path: Path, handler: Handler) -> None:
        private_folder(path.parent)
        path.unlink(missing_ok=True)
        self._path = path
        self._handler = handler
        self._selector = selectors.DefaultSelector()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        path.chmod(0o600)
        self._server.listen(16)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ)
        self._lines: dict[socket.socket, bytes] = {}

    def watch(self, descriptor: int) -> None:
        """Wake up from `wait` when this descriptor becomes readable, and empty it."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def wait(self, seconds: float) -> None:
        """Serve commands until the time is over or something has happened."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._server:
                self._accept()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._lines:
                self._listen_to(key.fileobj)
            elif isinstance(key.fileobj, socket.socket):
                with contextlib.suppress(OSError):
                    key.fileobj.recv(4096)
            else:
                self._empty(key.fd)

    def close(self) -> None:
        """Stop listening."""
        for client in tuple(self._lines):
            self._drop(client)
        self._selector.close()
        self._server.close()
        self._path.unlink(missing_ok=True)

    @staticmethod
    def _empty(descriptor: int) -> None:
        import os

        with contextlib.suppress(OSError):
            os.read(descriptor, 4096)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._server.accept()
            client.setblocking(False)
            self._lines[client] = b""
            self._selector.register(client, selectors.EVENT_READ)

    def _listen_to(self, client: socket.socket) -> None:
        try:
            chunk = client.recv(_LONGEST_LINE)
        except OSError:
            chunk = b""
        line = self._lines[client] + chunk
        self._lines[client] = line
        if b"\n" in line:
            self._answer(client, line.partition(b"\n")[0])
        if not chunk or b"\n" in line or len(line) > _LONGEST_LINE:
            self._drop(client)

    def _answer(self, client: socket.socket, line: bytes) -> None:
        try:
            command = json.loads(line)
            answer = (
                self._handler(command)
                if isinstance(command, dict)
                else {"ok": False, "error": "Send an object."}
            )
        except ValueError:
            answer = {"ok": False, "error": "Send one JSON object a line."}
        with contextlib.suppress(OSError):
            client.setblocking(True)
            client.settimeout(1.0)
            client.sendall(json.dumps(answer).encode() + b"\n")

    def _drop(self, client: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client)
        self._lines.pop(client, None)
        client.close()
