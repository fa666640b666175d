"""Tables that lose nothing: what does not fit beside goes below, whole."""

import textwrap
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len

_GAP = 2
_LEAST_WIDE = 30
_INDENT = "  "
_GLUE = "\N{NO-BREAK SPACE}"
_DOT = f"{_GLUE}· "
_SAYS_NOTHING = frozenset({"", "-"})


def lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None, wide: bool = False
) -> list[str]:
    """Lays out a table, its heading line first; no cell is ever cut.

    Args:
        headings: of the columns.
        rows: cells, as many a row as there are headings.
        width: of the terminal; None means that lines may be as long as they like.
        wide: the last column holds sentences, which may be folded between words.
    """
    clean = [[_clean(cell) for cell in row] for row in rows]
    needed = [
        max(cell_len(text) for text in (heading, *(row[at] for row in clean)))
        for at, heading in enumerate(headings)
    ]
    if width is None or _total(needed) <= width:
        return _plain(headings, clean, needed)
    if wide and width - _total(needed[:-1]) - _GAP >= _LEAST_WIDE:
        return _folded(headings, clean, needed, width)
    return _two_storeys(headings, clean, needed, width, wide=wide)


def _plain(headings: Sequence[str], rows: Sequence[Sequence[str]], needed: Sequence[int]) -> list[str]:
    return [_beside(row, needed) for row in (headings, *rows)]


def _folded(
    headings: Sequence[str], rows: Sequence[Sequence[str]], needed: Sequence[int], width: int
) -> list[str]:
    """Folds the last column between words."""
    before = _total(needed[:-1]) + _GAP
    laid = [_beside(headings, needed)]
    for *cells, text in rows:
        first, *more = _wrap(text, width - before) or [""]
        laid.append(_beside((*cells, first), needed))
        laid += [" " * before + line for line in more]
    return laid


def _two_storeys(
    headings: Sequence[str], rows: Sequence[Sequence[str]], needed: Sequence[int], width: int, *, wide: bool
) -> list[str]:
    """Keeps the columns that fit; the others follow each row by name, sentences on lines of their own."""
    kept = max(1, sum(_total(needed[: at + 1]) <= width for at in range(len(needed))))
    named = slice(kept, len(needed) - 1 if wide else None)
    laid = [_beside(headings[:kept], needed)]
    for row in rows:
        laid.append(_beside(row[:kept], needed))
        rest = [
            f"{heading.lower()} {text}"
            for heading, text in zip(headings[named], row[named], strict=True)
            if text not in _SAYS_NOTHING
        ]
        space = width - len(_INDENT)
        sentences = _wrap(row[-1], space) if wide and row[-1] not in _SAYS_NOTHING else []
        laid += [_INDENT + line for line in (*_wrap_items(rest, space), *sentences)]
    return laid


def _beside(cells: Sequence[str], needed: Sequence[int]) -> str:
    padded = [text + " " * (space - cell_len(text)) for text, space in zip(cells, needed, strict=False)]
    return (" " * _GAP).join(padded).rstrip()


def _total(needed: Sequence[int]) -> int:
    return sum(needed) + _GAP * (len(needed) - 1)


def _wrap(text: str, width: int) -> list[str]:
    # Ids, addresses and JSON stay whole, so that they can be copied.
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)


def _wrap_items(items: Sequence[str], width: int) -> list[str]:
    """Breaks between items, so that a name stays beside its value where it can."""
    glued = (item.replace(" ", _GLUE) if cell_len(item) <= width else item for item in items)
    return [line.replace(_GLUE, " ") for line in _wrap(_DOT.join(glued), width)]


def _clean(text: str) -> str:
    """One line without characters that would steer the terminal: records come from elsewhere."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in {"Cc", "Cf"} else sign
        for sign in " ".join(text.split())
    )
