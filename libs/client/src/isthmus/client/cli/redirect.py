"""Where the browser comes back to: one page on the loopback interface, RFC 8252 section 7.3."""

import hmac
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from isthmus.client.problem import ExitCode, Problem

_PATH = "/callback"
_PAGE = b"<!doctype html><title>Isthmus</title><p>Go back to the command line; this page can be closed."
_LOOK_SECONDS = 1.0


class Redirect:
    """Listens on 127.0.0.1 until the browser comes with the right state.

    Args:
        port: Where; 0 takes a free one.

    Raises:
        Problem: `PORT_TAKEN`.
    """

    def __init__(self, port: int) -> None:
        self._answers: list[dict[str, str]] = []
        try:
            self._server = HTTPServer(("127.0.0.1", port), self._handler())
        except OSError as error:
            message = f"Port {port} of this machine is taken: choose another one with `--port`."
            raise Problem("PORT_TAKEN", message, exit_code=ExitCode.USAGE) from error
        self._server.timeout = _LOOK_SECONDS

    @property
    def uri(self) -> str:
        """What to register at the authorization server."""
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()

    def wait(self, state: str, *, until: float) -> dict[str, str]:
        """Wait for the browser; requests with another state are shown the page and not taken.

        Args:
            state: What the authorization began with.
            until: When it ends, in seconds since 1970.

        Raises:
            Problem: `AUTHORIZATION_EXPIRED`.
        """
        while time.time() < until:
            self._server.handle_request()
            for answer in self._answers:
                if hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
                    return answer
            self._answers.clear()
        message = "Nobody has come back from the browser in time: run the command again."
        raise Problem("AUTHORIZATION_EXPIRED", message, exit_code=ExitCode.FAILED)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            timeout = _LOOK_SECONDS

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                found = parts.path == _PATH
                if found:
                    answers.append(dict(parse_qsl(parts.query)))
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(_PAGE if found else b"")

            def log_message(self, *_: Any) -> None:
                """The code is in the address, which is written nowhere."""

        return Handler


__all__ = ["Redirect"]
