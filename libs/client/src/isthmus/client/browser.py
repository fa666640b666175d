"""Sends a person's browser to a provider and waits for it to come back to this machine (RFC 8252)."""

import time
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from isthmus.client.problem import ExitCode, Problem

_WAIT_SECONDS = 300.0
_DONE = b"<!doctype html><title>Isthmus</title><p>You may close this window and go back to the terminal.</p>"


class _Server(HTTPServer):
    """Takes one answer on the loopback interface."""

    came: dict[str, str] | None = None


class _Handler(BaseHTTPRequestHandler):
    """Keeps what comes to `/back` and nothing else."""

    def do_GET(self) -> None:
        """Answers the browser."""
        parts = urlsplit(self.path)
        is_back = parts.path == "/back"
        if is_back and isinstance(self.server, _Server):
            self.server.came = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.send_response(200 if is_back else 404)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(_DONE if is_back else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Says nothing: the address holds a code."""


def visit(begin: Callable[[str], tuple[str, str]], tell: Callable[[str], None]) -> dict[str, str]:
    """Gives the parameters that the browser brought back.

    Args:
        begin: takes the address to come back to for the provider's address and the state to compare.
        tell: shows a person the address, for where no browser opens.

    Raises:
        Problem: nobody came back in time, or the provider refused, or somebody else's answer came.
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        address, state = begin(f"http://127.0.0.1:{server.server_port}/back")
        tell(address)
        webbrowser.open(address)
        until = time.monotonic() + _WAIT_SECONDS
        while server.came is None and (left := until - time.monotonic()) > 0:
            server.timeout = left
            server.handle_request()
        came = server.came
    if came is None:
        message = "The browser has not come back: run `isthmus login` again."
        raise Problem("LOGIN_TIMED_OUT", message, exit_code=ExitCode.REFUSED)
    if came.get("state") != state or "code" not in came:
        message = (
            f"The provider has not let you in ({came.get('error', 'no code')}): run `isthmus login` again."
        )
        raise Problem("LOGIN_REFUSED", message, exit_code=ExitCode.REFUSED)
    return came


__all__ = ["visit"]
