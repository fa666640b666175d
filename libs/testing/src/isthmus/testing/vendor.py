"""A vendor's HTTP interface that answers well or badly, in a thread of its own."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Reply:
    """What to answer; `declared` is the length to announce, where it is to differ from the truth."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None


@dataclass(frozen=True)
class Sent:
    """A request with a body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Route = Callable[[dict[str, str]], Reply]


class Vendor:
    """Routes by path; every request is counted."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[str] = []
        self.sent: list[Sent] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve_json(self, path: str, value: Any, *, etag: bool = False) -> None:
        """Answers one document, with an entity tag when asked to."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'} if etag else {}
        self.routes[path] = lambda _: Reply(body, headers={"Content-Type": "application/json", **headers})

    def serve_pages(self, path: str, total: int, size: int, make: Callable[[int], Any]) -> None:
        """Answers `{"items": […], "next": n}` pages by `?after=`."""

        def page(query: dict[str, str]) -> Reply:
            first = int(query.get("after", "0"))
            last = min(first + size, total)
            document = {
                "items": [make(n) for n in range(first, last)],
                "next": last if last < total else None,
            }
            return Reply(json.dumps(document).encode(), headers={"Content-Type": "application/json"})

        self.routes[path] = page

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> None:
        """Starts answering."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                vendor.requests.append(parts.path)
                route = vendor.routes.get(parts.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                self._send(route(query) if route else Reply(b'{"error": "unknown"}', 404))

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                vendor.sent.append(Sent(self.command, self.path, headers, self.rfile.read(length)))
                self.do_GET()

            def do_PUT(self) -> None:
                self.do_POST()

            def do_PATCH(self) -> None:
                self.do_POST()

            def _send(self, reply: Reply) -> None:
                unchanged = (
                    reply.headers.get("ETag") and self.headers.get("If-None-Match") == reply.headers["ETag"]
                )
                if unchanged:
                    reply = Reply(b"", 304, reply.headers)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                length = len(reply.body) if reply.declared is None else reply.declared
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(reply.body)
                if length != len(reply.body):
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Keeps quiet."""

        return Handler


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    """Gives a vendor that answers until the block ends."""
    vendor = Vendor()
    vendor.start()
    try:
        yield vendor
    finally:
        vendor.close()
