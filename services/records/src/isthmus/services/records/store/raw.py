"""The driver beneath SQLAlchemy, for statements that carry a thousand records at a time.

Arrays travel in PostgreSQL's binary format, packed here: the driver's own packing costs more than
everything else that happens to a record in this process.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy.ext.asyncio import AsyncConnection

_BYTEA, _TEXT = 17, 25
_BYTEA_ARRAY, _TEXT_ARRAY = 1001, 1009
_HEADER = struct.Struct("!iiIii")


@dataclass(frozen=True, slots=True)
class TextArray:
    """UTF-8 texts that become one `text[]`."""

    items: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Utf8:
    """UTF-8 that becomes one `text`."""

    text: bytes


@dataclass(frozen=True, slots=True)
class ByteaArray:
    """Bytes that become one `bytea[]`."""

    items: Sequence[bytes]


def _pack(items: Sequence[bytes], element: int) -> bytes:
    if not items:
        return struct.pack("!iiI", 0, 0, element)
    header = _HEADER.pack(1, 0, element, len(items), 1)
    sizes = list(map(len, items))
    if min(sizes) == max(sizes):
        prefix = sizes[0].to_bytes(4, "big")
        return header + prefix + prefix.join(items)
    prefixes = {size: size.to_bytes(4, "big") for size in set(sizes)}
    parts = [header] * (2 * len(items) + 1)
    parts[1::2] = map(prefixes.__getitem__, sizes)
    parts[2::2] = items
    return b"".join(parts)


class _TextArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: TextArray) -> bytes:
        return _pack(obj.items, _TEXT)


class _Utf8Dumper(Dumper):
    format = Format.BINARY
    oid = _TEXT

    def dump(self, obj: Utf8) -> bytes:
        return obj.text


class _ByteaArrayDumper(Dumper):
    format = Format.BINARY
    oid = _BYTEA_ARRAY

    def dump(self, obj: ByteaArray) -> bytes:
        return _pack(obj.items, _BYTEA)


async def raw_cursor(connection: AsyncConnection) -> psycopg.AsyncCursor[Any]:
    """Return a binary cursor in the transaction that `connection` has open."""
    pooled = await connection.get_raw_connection()
    driver: Any = pooled.driver_connection
    driver.adapters.register_dumper(TextArray, _TextArrayDumper)
    driver.adapters.register_dumper(Utf8, _Utf8Dumper)
    driver.adapters.register_dumper(ByteaArray, _ByteaArrayDumper)
    cursor: psycopg.AsyncCursor[Any] = driver.cursor(binary=True)
    return cursor


__all__ = ["ByteaArray", "TextArray", "Utf8", "raw_cursor"]
