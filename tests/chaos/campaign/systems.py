"""Systems outside over HTTP: they keep records, count what is done to them, and answer badly when told."""

from __future__ import annotations

import json
import random
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from campaign.kinds import READING, WRITING, Kind

__all__ = ["Request", "System"]

_SLOW_SECONDS = 3.0
_REFUSALS = {Kind.THROTTLED: 429, Kind.BUSY: 503, Kind.BROKEN: 500}


@dataclass(frozen=True)
class Request:
    """What came.

    Attributes:
        method: In capitals.
        path: Without the query.
        query: The last value of each parameter.
        body: What was sent as JSON.
        base: The address by which the caller reaches the system.
        fault: What is to go wrong with the records of the answer.
    """

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    base: str
    fault: Kind | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass
class _Armed:
    kind: Kind
    left: int
    struck: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: callers die and connections break here all the time."""


class System(ABC):
    """Answers in threads of its own until it is closed; who derives from it says what in `answer`.

    Attributes:
        pace: Seconds that every answer takes, so that syncs last long enough to be hit.
        spoilt: How many answers went wrong as told.
    """

    def __init__(self) -> None:
        self.pace = 0.0
        self.spoilt = 0
        self.lock = threading.RLock()
        self._armed: list[_Armed] = []
        self._random = random.Random(1)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = int(self._server.server_port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @abstractmethod
    def answer(self, request: Request) -> tuple[int, Any]:
        """Do what is asked for and give status and document; called under the lock."""

    def arm(self, kind: Kind, times: int) -> Callable[[], int]:
        """Let the next answers go wrong to which that may happen; what it gives tells how many have."""
        armed = _Armed(kind, times)
        with self.lock:
            self._armed.append(armed)
        return lambda: armed.struck

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, method: str) -> Kind | None:
        """Tell what goes wrong with a request that has just come."""
        fitting = READING if method == "GET" else WRITING
        with self.lock:
            armed = next((one for one in self._armed if one.kind in fitting), None)
            if armed is None:
                return None
            armed.left -= 1
            armed.struck += 1
            self.spoilt += 1
            if not armed.left:
                self._armed.remove(armed)
            return armed.kind

    def in_order(self, records: list[Any], request: Request) -> list[Any]:
        """Give records of a page in the order in which they are to be answered."""
        if request.fault is Kind.REORDERED:
            self._random.shuffle(records)
        return records


def _handler(system: System) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = system.next_fault(self.command)
            threading.Event().wait(system.pace + (_SLOW_SECONDS if fault is Kind.SLOW else 0))
            if fault in _REFUSALS:
                self._send(_REFUSALS[fault], {"error": "not now"}, wait="1")
            elif fault is Kind.RESET:
                self._cut()
            else:
                with system.lock:
                    status, document = system.answer(self._request(content, fault))
                self._finish(status, document, fault)

        def _finish(self, status: int, document: Any, fault: Kind | None) -> None:
            if fault is Kind.LOST_ANSWER:
                self._cut()
            elif fault is Kind.GATEWAY:
                self._send(502, {"error": "no answer from behind"})
            else:
                self._send(status, document, whole=fault is not Kind.TRUNCATED)

        def _request(self, content: bytes, fault: Kind | None) -> Request:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            body = json.loads(content) if content else {}
            return Request(
                self.command, parts.path, query, body, f"http://{self.headers.get('Host', '')}", fault
            )

        def _send(self, status: int, document: Any, *, wait: str = "", whole: bool = True) -> None:
            content = b"" if status == 204 else json.dumps(document).encode()
            head = (
                f"HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            )
            head += f"Retry-After: {wait}\r\n\r\n" if wait else "\r\n"
            self.wfile.write(head.encode() + (content if whole else content[: len(content) // 2]))
            if not whole:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *args: Any) -> None:
            """Keep quiet."""

    return Handler
