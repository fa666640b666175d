"""The page of the documentation that keeps the results."""

from __future__ import annotations

from collections.abc import Sequence

from comparison.figures.goals import Measured, rows
from comparison.report import markdown, table
from comparison.series import Series

__all__ = ["page"]

_HEAD = """# Benchmarks

Written by `make bench`. The job: incidents of about 750 bytes, nested, in pages of 1,000 over HTTP → 13
mapped columns (two word tables, three timestamps, a concatenation, a joined list) → upsert by primary key
into a durable PostgreSQL. The destination holds a page of older records beforehand, so everybody is warm and
must really insert or update; a run counts only when it ends with exactly the rows that must come out, by
their SHA-256.

Everybody takes turns in one series; figures are medians, ratios are medians of the rounds. Processor time is
that of a runner's own processes: for Isthmus the host of the source and the process that writes; PostgreSQL's
stands beside it, the source's is left out. Machines vary: only ratios inside one table count.

Where answers fail by a schedule, everybody waits alike before asking again: 50 ms after an error, and the
second that a 429 asks for. For Isthmus the instance says so (`limits.retry`); its default is anything up to a
second after the first error, which a source in trouble deserves.
"""


def page(facts: Sequence[str], series: Sequence[Series], figures: Sequence[Measured]) -> str:
    """Writes the page."""
    parts = [_HEAD, "".join(f"- {fact}\n" for fact in facts)]
    for one in series:
        parts.append(f"## {one.records:,} records\n\n{markdown(table(one))}\n")
    if figures:
        parts.append(f"## Goals\n\n{markdown(rows(figures))}\n")
    return "\n".join(parts)
