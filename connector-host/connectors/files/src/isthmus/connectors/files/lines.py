"""Splits a file into lines or CSV rows, each with the place behind it."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.sdk import DataFailure

CHUNK = 256 * 1024
LONGEST = 8 * 1024 * 1024
LONGEST_ROW = 1024 * 1024
LONGEST_KEPT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end.

    Attributes:
        number: Counted from 1.
        begin: Offset of its first byte.
        end: Offset behind its line break.
        complete: It has a line break; the last one may lack it.
        cut: It was longer than the limit; `raw` holds its beginning.
    """

    raw: bytes
    number: int
    begin: int
    end: int
    complete: bool = True
    cut: bool = False


def lines(descriptor: int, offset: int = 0, number: int = 0) -> Iterator[Line]:
    """The lines from an offset on, in bounded memory.

    Args:
        descriptor: An open file.
        offset: Where a line starts.
        number: The lines before it.
    """
    rest = b""
    skipped = 0
    while piece := os.pread(descriptor, CHUNK, offset + skipped + len(rest)):
        rest += piece
        start = 0
        while (found := rest.find(b"\n", start)) >= 0:
            number += 1
            end = offset + skipped + found + 1
            raw = rest[start:found].removesuffix(b"\r")
            yield Line(raw, number, offset, end, cut=bool(skipped))
            offset, skipped, rest, start = end, 0, rest[found + 1 :], 0
        if len(rest) > LONGEST:
            # What is too long is passed over; a thousand bytes show which line it was.
            skipped += len(rest) - 1000
            rest = rest[:1000]
    if rest:
        end = offset + skipped + len(rest)
        yield Line(rest, number + 1, offset, end, complete=False, cut=bool(skipped))


def whole(descriptor: int, begin: int, end: int, where: str) -> bytes:
    """The bytes of a line or row as they stand in the file, without the line break at its end.

    Raises:
        DataFailure: `LINE_TOO_LONG`, it is longer than anything that is kept.
    """
    if end - begin > LONGEST_KEPT:
        message = f"{where} is longer than {LONGEST_KEPT:,} bytes; take it out, or break it into records."
        raise DataFailure("LINE_TOO_LONG", message)
    raw = os.pread(descriptor, end - begin, begin)
    return raw.removesuffix(b"\n").removesuffix(b"\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One CSV row; it may span several lines."""

    cells: list[str]
    line: int
    begin: int
    end: int
    fault: str = ""
    complete: bool = True


class Rows:
    """Reads CSV as RFC 4180 has it: quotes doubled inside quotes, line breaks allowed there."""

    def __init__(self, descriptor: int, name: str, delimiter: str = "") -> None:
        self._descriptor = descriptor
        first = next(lines(descriptor), None)
        if first is None:
            self.delimiter, self.header, self.start, self.first_line = delimiter or ",", [], 0, 0
            return
        self.delimiter = delimiter or _likely(first.raw)
        header = next(self._rows(0, 0))
        if header.fault:
            raise DataFailure("CSV_HEADER_INVALID", f"The header of {name} cannot be read: {header.fault}.")
        self.header = [cell.strip() for cell in header.cells]
        self.start, self.first_line = header.end, header.line
        twice = next((cell for cell in self.header if self.header.count(cell) > 1 or not cell), None)
        if twice is not None:
            message = f"{name} has the column {twice!r} twice or without a name; every column needs its own."
            raise DataFailure("CSV_HEADER_INVALID", message)

    def rows(self, offset: int, number: int) -> Iterator[Row]:
        """The rows from an offset on; 0 means behind the header."""
        if offset < self.start:
            offset, number = self.start, self.first_line
        return self._rows(offset, number)

    def _rows(self, offset: int, number: int) -> Iterator[Row]:
        restart: Line | None = Line(b"", number, offset, offset)
        while restart is not None:
            begin, restart = restart, None
            held: list[Line] = []
            odd = size = 0
            for line in lines(self._descriptor, begin.end, begin.number):
                held.append(line)
                odd ^= line.raw.count(b'"') & 1
                size += len(line.raw)
                if odd and line.complete and not line.cut and size <= LONGEST_ROW:
                    continue
                if odd and len(held) > 1:
                    break
                yield self._row(held)
                held, odd, size = [], 0, 0
            if held:
                # Only the line with the stray quote is lost to the table; those it swallowed are read again.
                restart = held[0]
                yield self._row(held[:1])

    def _row(self, held: list[Line]) -> Row:
        last = held[-1]
        raw = b"\n".join(line.raw for line in held).removeprefix(b"\xef\xbb\xbf")
        fault, cells = "", []
        try:
            text = raw.decode()
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True), [])
        except UnicodeDecodeError as error:
            fault = f"it is not UTF-8 at byte {error.start}"
        except csv.Error as error:
            fault = str(error)
        if last.cut:
            fault = f"the row is longer than {LONGEST:,} bytes"
        elif raw.count(b'"') % 2:
            fault = "a quote is never closed"
        return Row([] if fault else cells, last.number, held[0].begin, last.end, fault, last.complete)


def _likely(header: bytes) -> str:
    """The delimiter that the header has most of."""
    text = header.decode(errors="replace")
    return max(",;\t|", key=text.count)
