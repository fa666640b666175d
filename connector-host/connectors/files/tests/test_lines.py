"""Lines and rows out of any bytes, also when they come in small pieces."""

import csv
import io
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.connectors.files import lines as module
from isthmus.connectors.files.lines import Rows, lines


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)


def opened(content):
    file = tempfile.TemporaryFile()  # noqa: SIM115 - hypothesis runs many examples in one test
    file.write(content)
    file.flush()
    return file


@given(st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw and not raw.endswith(b"\r"))))
@settings(deadline=None)
def test_lines_and_places_fit(parts):
    """
    Every line comes once, and reading goes on behind any of them.
    """
    with opened(b"\n".join(parts)) as file:
        found = list(lines(file.fileno()))
        rests = [[line.raw for line in lines(file.fileno(), one.end, one.number)] for one in found]

    wanted = parts if parts and parts[-1] else parts[:-1]
    assert [line.raw for line in found] == wanted
    assert [line.number for line in found] == list(range(1, len(wanted) + 1))
    assert rests == [wanted[number:] for number in range(1, len(wanted) + 1)]


CELLS = st.text(alphabet=st.sampled_from('ab,;"\n\r é|\t'), max_size=8).filter(lambda text: "\r" not in text)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=8))
@settings(deadline=None)
def test_rows_read_as_they_were_written(rows):
    """
    Quotes, delimiters and line breaks in cells, and reading goes on behind any row.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["x", "y"], *rows])
    with opened(text.getvalue().encode()) as file:
        table = Rows(file.fileno(), "t")
        found = list(table.rows(0, 0))
        rests = [[row.cells for row in table.rows(one.end, one.line)] for one in found]

    assert [row.cells for row in found] == rows
    assert rests == [rows[number:] for number in range(1, len(rows) + 1)]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_rows_or_faults(raw):
    """
    Broken tables never raise, and every line is covered by a row or a fault.
    """
    with opened(b"x,y\n" + raw) as file:
        found = list(Rows(file.fileno(), "t").rows(0, 0))
        size = os.fstat(file.fileno()).st_size

    assert not found or found[-1].end == size
