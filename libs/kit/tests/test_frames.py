"""Callers that speak HTTP/2 as no library does are cut off, and nobody else notices."""

import asyncio
import struct

import pytest
from isthmus.connector.v1 import connector_pb2 as pb

HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
RESOURCE_EXHAUSTED, TOO_MANY = b"grpc-status\x018", b"too_many_pings"


def frame(kind, payload, *, stream=0, flags=0):
    """One frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    """A text of HPACK, not compressed."""
    length, rest = (bytes([len(value)]), b"") if len(value) < 127 else (b"\x7f", number(len(value) - 127))
    return length + rest + value


def number(value):
    """What is left of a number of HPACK that does not fit its prefix."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


CALL = b"".join(
    (
        b"\x83\x86\x04" + text(b"/isthmus.connector.v1.ConnectorService/Describe"),
        b"\x01" + text(b"x"),
        b"\x5f" + text(b"application/grpc"),
        b"\x40" + text(b"te") + text(b"trailers"),
    )
)
SAME_AGAIN = b"\xbe"
"""Stands for the header that was remembered last: one byte for thousands."""


def header_bomb():
    """A header of 3,900 bytes that is meant 300,000 times: 1.2 GB in a third of a megabyte."""
    yield frame(HEADERS, CALL + b"\x40" + text(b"x-bomb") + text(b"a" * 3900), stream=1)
    for _ in range(20):
        yield frame(CONTINUATION, SAME_AGAIN * 15_000, stream=1)
    yield frame(CONTINUATION, b"", stream=1, flags=END_HEADERS)


def pings():
    """Questions whether the server is there, a hundred on end."""
    for _ in range(100):
        yield frame(PING, b"12345678")


def calls_taken_back():
    """Calls that are begun and taken back at once, five hundred of them, and then a question."""
    for number_ in range(500):
        stream = 2 * number_ + 1
        yield frame(HEADERS, CALL, stream=stream, flags=END_HEADERS | END_STREAM)
        yield frame(RESET, struct.pack(">I", 8), stream=stream)
    yield from pings()


CUT_OFF = b"(cut off)"


async def heard(address, hostile, enough):
    """Speaks to a server until it has said something, or has ended the connection."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = b""
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, b""))
        for part in hostile():
            writer.write(part)
            await writer.drain()
        while enough not in said and (more := await reader.read(65_536)):
            said += more
    except ConnectionError:
        said += CUT_OFF
    writer.close()
    return said if enough in said else said + CUT_OFF


@pytest.mark.parametrize(
    ("hostile", "answer"),
    [(header_bomb, RESOURCE_EXHAUSTED), (pings, TOO_MANY), (calls_taken_back, TOO_MANY)],
)
async def test_who_abuses_http2_is_cut_off_alone(address, stub, bearer, hostile, answer):
    """
    It is refused, or its connection ends, and another caller's call is answered.
    """
    said = await heard(address, hostile, answer)

    assert answer in said or CUT_OFF in said
    assert await stub.Describe(pb.DescribeRequest(), metadata=bearer())
