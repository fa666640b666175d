"""A system that is read and written over HTTP, with every effect on it counted, in a thread of its own."""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_START = datetime(2026, 1, 1, tzinfo=UTC)


class Sandbox:
    """Keeps records of one kind under `/items`: list, create, replace, change, delete.

    Every write from outside is an effect; people's own doing is not. Each change stamps `changed_at`
    with a time that only grows. A query narrows the list to records with these values.

    Args:
        prefix: Begins the ids that the system gives to what is posted.

    Attributes:
        records: What the system holds, by id.
        effects: What was done over HTTP, as (method, id).
        refuses: Ids whose writes are answered with 422.
        may_answer: While it is not set, a write has its effect and no answer.
        arrived: Set when a write has had its effect.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.records: dict[str, dict[str, Any]] = {}
        self.effects: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.arrived = threading.Event()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._minutes = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def edit(self, key: str, *, at: datetime | None = None, **fields: Any) -> None:
        """Change a record, or make one, as a person would."""
        with self._lock:
            present = self.records.get(key, {"id": key})
            self._put(key, {**present, **fields}, at)

    def remove(self, key: str) -> None:
        """Delete a record, as a person would."""
        with self._lock:
            self.records.pop(key, None)

    def content(self, *without: str) -> dict[str, dict[str, Any]]:
        """Give what the system holds, without the time of change and other fields of its own."""
        with self._lock:
            own = {"changed_at", *without}
            return {
                key: {name: value for name, value in record.items() if name not in own and value is not None}
                for key, record in self.records.items()
            }

    def close(self) -> None:
        """Stop answering."""
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> None:
        """Start answering."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _put(self, key: str, record: dict[str, Any], at: datetime | None = None) -> None:
        moment = at or _START + timedelta(minutes=next(self._minutes))
        self.records[key] = {**record, "id": key, "changed_at": moment.isoformat()}

    def _write(self, method: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, answer = self._effect(method, key, body)
        self.arrived.set()
        self.may_answer.wait(300)
        return status, answer

    def _effect(self, method: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            if key in self.refuses:
                return 422, {"error": "refused"}
            if method == "POST":
                key = f"{self.prefix}{next(self._numbers)}"
            self.effects.append((method, key))
            if method == "DELETE":
                return (204 if self.records.pop(key, None) else 404), {}
            if method == "PATCH":
                if key not in self.records:
                    return 404, {}
                body = {**self.records[key], **body}
            self._put(key, body)
            return (201 if method == "POST" else 200), self.records[key]

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        with self._lock:
            found = [dict(record) for record in self.records.values()]
        return {"items": [one for one in found if all(str(one.get(n)) == v for n, v in query.items())]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sandbox = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(200, sandbox._list(dict(parse_qsl(urlsplit(self.path).query))))

            def do_POST(self) -> None:
                self._written("POST")

            def do_PUT(self) -> None:
                self._written("PUT")

            def do_PATCH(self) -> None:
                self._written("PATCH")

            def do_DELETE(self) -> None:
                self._written("DELETE")

            def _written(self, method: str) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = json.loads(self.rfile.read(length) or b"{}")
                key = self.path.removeprefix("/items").strip("/")
                self._answer(*sandbox._write(method, key, body))

            def _answer(self, status: int, document: dict[str, Any]) -> None:
                body = b"" if status == 204 else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                with suppress(ConnectionError):  # whoever asked may be dead by now
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        return Handler


@contextmanager
def running_sandbox(prefix: str = "") -> Iterator[Sandbox]:
    """Give a system that answers until the block ends."""
    sandbox = Sandbox(prefix)
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.close()


__all__ = ["Sandbox", "running_sandbox"]
