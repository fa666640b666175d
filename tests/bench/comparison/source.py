"""The source: incidents over HTTP, in a process of its own: `python -m comparison.source FOLDER`.

Pages lie rendered in a file; answering one is a look-up and a write. `/control` changes how it behaves,
`/stats` tells what it has served.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import uvloop

from comparison.faults import Fault, schedule
from comparison.incidents import PAGE, SALT
from comparison.pages import Pages

__all__ = ["Behaviour", "main"]

_AGAIN = "again"
_SLOW_SECONDS = 0.3
_SMALL = 100


@dataclass
class Behaviour:
    """How the source answers; `/control` sets every field by its name.

    Attributes:
        records: Records in `/incidents`.
        salt: What stands in the title of every record; another one makes other contents.
        page_ms: What one page costs the source, one after the other.
        fault_seed: Draws the answers that go wrong; 0 draws none.
        fresh: Every answer of `/small` has contents of its own; otherwise it has an entity tag.
    """

    records: int = 0
    salt: str = SALT
    page_ms: int = 0
    fault_seed: int = 0
    fresh: bool = False


@dataclass
class Stats:
    """What was served since the last `/control`."""

    pages: int = 0
    small: int = 0
    unchanged: int = 0
    faults: int = 0
    first_at: float = 0.0
    last_at: float = 0.0


@dataclass
class Source:
    """What is served, and what was."""

    pages: Pages
    behaviour: Behaviour = field(default_factory=Behaviour)
    stats: Stats = field(default_factory=Stats)
    faults: dict[int, Fault] = field(default_factory=dict)
    free_at: float = 0.0
    _small: bytes = b""

    def control(self, query: Mapping[str, str]) -> None:
        """Begins anew with the given behaviour."""
        kinds = {one.name: type(one.default) for one in fields(Behaviour)}
        values = {name: int(text) if kinds[name] is not str else text for name, text in query.items()}
        self.behaviour = Behaviour(**cast("dict[str, Any]", values))
        self.stats = Stats()
        seed = self.behaviour.fault_seed
        self.faults = dict(schedule(seed, self.behaviour.records // PAGE)) if seed else {}

    def page(self, after: str) -> tuple[list[bytes | memoryview], Fault | None]:
        """Gives the pieces of one page's body, and what is to go wrong with it."""
        first, _, again = after.partition(_AGAIN)
        number = int(first or 0) // PAGE
        self.stats.pages += 1
        self.stats.last_at = time.time()
        self.stats.first_at = self.stats.first_at or self.stats.last_at
        fault = None if again else self.faults.pop(number, None)
        self.stats.faults += fault is not None
        last = min((number + 1) * PAGE, self.behaviour.records)
        following = str(last) if last < self.behaviour.records else None
        if fault is Fault.DUPLICATED:
            following = f"{number * PAGE}{_AGAIN}1"
        envelope = json.dumps({"next": following, "total": self.behaviour.records})
        items = self.pages.items(number) if last else b"[]"
        return [envelope[:-1].encode(), b', "items": ', self._salted(items), b"}"], fault

    def small(self) -> bytes:
        """Gives 100 incidents in one answer, others every time where that is asked for."""
        self.stats.small += 1
        self.stats.last_at = time.time()
        if not self._small:
            records = json.loads(bytes(self.pages.items(0)))[:_SMALL]
            self._small = json.dumps({"items": records}, ensure_ascii=False).encode()
        salt = f"rev{self.stats.small:05}" if self.behaviour.fresh else self.behaviour.salt
        return self._small.replace(SALT.encode(), salt.encode())

    def _salted(self, items: bytes | memoryview) -> bytes | memoryview:
        if self.behaviour.salt == SALT:
            return items
        return bytes(items).replace(SALT.encode(), self.behaviour.salt.encode())


class Connection(asyncio.Protocol):
    """One client; requests have no body and come one after the other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._received = b""
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers when a request is whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(head.decode("latin-1"))

    def _answer(self, head: str) -> None:
        target = urlsplit(head.split(" ", 2)[1])
        query = dict(parse_qsl(target.query))
        if target.path == "/incidents":
            self._answer_page(query)
        elif target.path == "/small":
            self._answer_small(head)
        elif target.path == "/control":
            self._source.control(query)
            self._send([b"{}"])
        elif target.path == "/stats":
            self._send([json.dumps(vars(self._source.stats)).encode()])
        else:
            self._send([b'{"error": "unknown"}'], status="404 Not Found")

    def _answer_page(self, query: Mapping[str, str]) -> None:
        pieces, fault = self._source.page(query.get("after", ""))
        delay = self._delay() + (_SLOW_SECONDS if fault is Fault.SLOW else 0.0)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._finish, pieces, fault)
        else:
            self._finish(pieces, fault)

    def _delay(self) -> float:
        """A source that needs time for a page works on one at a time, whoever asks."""
        needed = self._source.behaviour.page_ms / 1000
        if not needed:
            return 0.0
        now = time.monotonic()
        self._source.free_at = max(self._source.free_at, now) + needed
        return self._source.free_at - now

    def _finish(self, pieces: list[bytes | memoryview], fault: Fault | None) -> None:
        match fault:
            case Fault.THROTTLED:
                self._send([b"{}"], status="429 Too Many Requests", headers="Retry-After: 1\r\n")
            case Fault.BROKEN:
                self._send([b"{}"], status="500 Internal Server Error")
            case Fault.TRUNCATED | Fault.RESET:
                self._send([*pieces[:2], pieces[2][: len(pieces[2]) // 2]], length=sum(map(len, pieces)))
                self._transport.abort() if fault is Fault.RESET else self._transport.close()
            case _:
                self._send(pieces)

    def _answer_small(self, head: str) -> None:
        body = self._source.small()
        if self._source.behaviour.fresh:
            self._send([body])
            return
        tag = f'"{self._source.behaviour.salt}"'
        if tag in head:
            self._source.stats.unchanged += 1
            self._send([], status="304 Not Modified", headers=f"ETag: {tag}\r\n")
        else:
            self._send([body], headers=f"ETag: {tag}\r\n")

    def _send(
        self,
        pieces: list[bytes | memoryview],
        *,
        status: str = "200 OK",
        headers: str = "",
        length: int | None = None,
    ) -> None:
        size = sum(map(len, pieces)) if length is None else length
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {size}\r\n\r\n"
        )
        self._transport.writelines([head.encode(), *pieces])


async def _serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    source = Source(Pages(folder))
    server = await loop.create_server(lambda: Connection(source), "127.0.0.1", 0, backlog=1024)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


def main() -> None:
    """Serves until SIGTERM; the first line of output is the address."""
    uvloop.run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
