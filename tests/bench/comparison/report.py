"""One table of all runners, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence

from comparison.series import Series

__all__ = ["OTHERS", "markdown", "table"]

OTHERS = ("reference", "dlt-adbc", "dlt-arrow", "dlt", "singer")
"""Whom ratios are given to."""
_MEGABYTE = 1024 * 1024
_HEADINGS = ("runner", "records/s", "CPU s", "CPU µs/record", "PostgreSQL CPU s", "peak PSS MB")


def table(series: Series) -> list[list[str]]:
    """Gives headings and rows; a runner without runs has the reason in its row."""
    others = [name for name in OTHERS if name in series.runs]
    rows = [[*_HEADINGS, *(f"÷ {name}" for name in others)]]
    for name, title in series.titles.items():
        if name in series.absent:
            rows.append([title, series.absent[name], *[""] * (len(rows[0]) - 2)])
            continue
        figures = [
            f"{series.median(name, 'rate'):,.0f}",
            f"{series.median(name, 'cpu'):.2f}",
            f"{series.median(name, 'cpu_micros'):.1f}",
            f"{series.median(name, 'database_cpu'):.2f}",
            f"{series.median(name, 'peak_bytes') / _MEGABYTE:.0f}",
        ]
        rows.append([title, *figures, *(f"{series.ratio(name, other):.2f}" for other in others)])
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Writes rows as a Markdown table whose columns line up."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(_aligned(cell, widths[place], place) for place, cell in enumerate(row)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join(_rule(width, place) for place, width in enumerate(widths)) + "|")
    return "\n".join(lines)


def _aligned(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place == 0 else cell.rjust(width)


def _rule(width: int, place: int) -> str:
    return f" {'-' * width} " if place == 0 else f" {'-' * (width - 1)}: "
