"""Streams by name, and the best way to read one."""

from collections.abc import Iterable

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Connection
from isthmus.resilience import FixRequest, Missing

_BEST_FIRST = (connector.READ_MODE_DELTA, connector.READ_MODE_INCREMENTAL, connector.READ_MODE_FULL)


def stream_of(streams: Iterable[connector.StreamSpec], name: str) -> connector.StreamSpec:
    """Return a stream by its name.

    Raises:
        Missing: `STREAM_UNKNOWN`, with the names that there are.
    """
    known = {stream.stream: stream for stream in streams}
    if name not in known:
        listed = ", ".join(sorted(known)[:10]) or "none"
        raise Missing("STREAM_UNKNOWN", f"There is no stream {name!r}; there are {listed}.", path="stream")
    return known[name]


async def find_stream(connection: Connection, name: str) -> connector.StreamSpec:
    """Return a stream by its name, also one that has come since somebody looked.

    Raises:
        Missing: `STREAM_UNKNOWN`, with the names that there are.
    """
    try:
        return stream_of(await connection.streams(), name)
    except Missing:
        return stream_of(await connection.streams(fresh=True), name)


def best_read_mode(stream: connector.StreamSpec) -> int:
    """Return the mode that reads least: changes by token, then changes by cursor, then everything.

    Raises:
        FixRequest: `READ_MODE_UNSUPPORTED`, the stream cannot be read at all.
    """
    for mode in _BEST_FIRST:
        if mode in stream.read_modes:
            return mode
    message = f"Stream {stream.stream} cannot be read; choose a stream that offers a read mode."
    raise FixRequest("READ_MODE_UNSUPPORTED", message, path="mode")


__all__ = ["best_read_mode", "find_stream", "stream_of"]
