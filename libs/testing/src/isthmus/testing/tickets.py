"""A ticket system without transactions, which counts what was done to it and breaks off when told."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Break", "TicketDesk", "running_desk"]


class Break(StrEnum):
    """How a request that changes something goes wrong."""

    BEFORE = "before"
    """The connection is cut before anything has happened."""
    AFTER = "after"
    """It takes effect, and the connection is cut before the answer."""
    HALF = "half"
    """It takes effect, and the answer breaks off in the middle."""
    BUSY = "busy"
    """It is refused with 503 and takes no effect."""
    LIMIT = "limit"
    """It is refused with 429 and takes no effect."""
    GATEWAY = "gateway"
    """It takes effect, and a proxy answers 502."""


Plan = Callable[[int], Break | None]


@dataclass
class TicketDesk:
    """Creates a ticket for each POST, whatever was created before; ids are its own.

    `POST /tickets`, `PATCH` and `DELETE /tickets/{id}`, and `GET /tickets?correlation=…`, or with any
    other field's name and value. A POST with an `Idempotency-Key` that came before gets its ticket again.

    Attributes:
        plan: Says for each changing request, by its number from 1, how it goes wrong.
        arrived: Called once a create has taken effect and before it is answered.
        tickets: What there is, by id.
        created: Bodies of all creates that took effect, in order.
        changes: How many requests took effect.
        lookups: How often somebody asked.
        keys: The ticket that each idempotency key made.
        tried: How many changing requests came.
    """

    plan: Plan = field(default=lambda _: None)
    arrived: Callable[[dict[str, Any]], None] = field(default=lambda _: None)
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    changes: int = 0
    lookups: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    tried: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("_DeskHandler", (_Handler,), {"desk": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Start answering."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def next_break(self) -> Break | None:
        """Count a changing request and tell how it goes wrong."""
        with self._lock:
            self.tried += 1
            return self.plan(self.tried)

    def create(self, body: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Make a ticket, or give the one that this key made."""
        with self._lock:
            if key in self.keys:
                return self.tickets[self.keys[key]]
            self.changes += 1
            ticket = {**body, "number": f"T-{len(self.created) + 1}"}
            self.created.append(body)
            self.tickets[ticket["number"]] = ticket
            if key:
                self.keys[key] = ticket["number"]
        self.arrived(body)
        return ticket

    def change(self, number: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Change a ticket; None where there is none."""
        with self._lock:
            if number not in self.tickets:
                return None
            self.changes += 1
            self.tickets[number] = {**self.tickets[number], **body}
            return self.tickets[number]

    def remove(self, number: str) -> dict[str, Any] | None:
        """Remove a ticket; None where there is none."""
        with self._lock:
            self.changes += number in self.tickets
            return self.tickets.pop(number, None)

    def find(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        """Find tickets whose fields have these values."""
        with self._lock:
            self.lookups += 1
            return [
                ticket
                for ticket in self.tickets.values()
                if all(str(ticket.get(name)) == value for name, value in wanted.items())
            ]


@contextmanager
def running_desk(plan: Plan = lambda _: None) -> Iterator[TicketDesk]:
    """Give a ticket system that answers until the block ends."""
    desk = TicketDesk(plan)
    desk.start()
    try:
        yield desk
    finally:
        desk.close()


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a self.desk."""

    desk: TicketDesk
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._answer(200, {"tickets": self.desk.find({name: values[-1] for name, values in query.items()})})

    def do_POST(self) -> None:
        key = self.headers.get("Idempotency-Key", "")
        self._changing(201, lambda body: self.desk.create(body, key))

    def do_PATCH(self) -> None:
        self._changing(200, lambda body: self.desk.change(self._number(), body))

    def do_DELETE(self) -> None:
        self._changing(200, lambda _: self.desk.remove(self._number()))

    def _changing(self, status: int, apply: Callable[[Any], Any]) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        goes_wrong = self.desk.next_break()
        if goes_wrong == Break.BEFORE:
            self._cut()
            return
        if goes_wrong in {Break.BUSY, Break.LIMIT}:
            self._answer(503 if goes_wrong == Break.BUSY else 429, {"error": "later"}, wait="0")
            return
        answer = apply(json.loads(content) if content else {})
        if goes_wrong == Break.AFTER:
            self._cut()
        elif goes_wrong == Break.GATEWAY:
            self._answer(502, {"error": "no answer from behind"})
        elif answer is None:
            self._answer(404, {"error": "no such ticket"})
        else:
            self._answer(status, answer, cut=goes_wrong == Break.HALF)

    def _number(self) -> str:
        return self.path.rpartition("/")[2]

    def _answer(self, status: int, body: Any, *, wait: str = "", cut: bool = False) -> None:
        content = json.dumps(body).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if wait:
                self.send_header("Retry-After", wait)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""
