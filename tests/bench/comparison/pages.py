"""Pages rendered ahead of time into one file, so that serving them costs the machine little."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable
from pathlib import Path

from comparison import incidents
from comparison.incidents import PAGE, items_text, row_texts

__all__ = ["Pages", "expected_hash", "render"]

Progress = Callable[[str], None]


class Pages:
    """The rendered pages of a folder, as bytes without their envelope."""

    def __init__(self, folder: Path) -> None:
        self._offsets: list[int] = json.loads((folder / "index.json").read_text())
        with (folder / "items.bin").open("rb") as file:
            self._view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def items(self, page: int) -> memoryview:
        """Gives the JSON array of a page, counted from 0."""
        return self._view[self._offsets[page] : self._offsets[page + 1]]


def render(cache: Path, records: int, progress: Progress) -> Path:
    """Renders as many records as are asked for, unless they lie there already; gives their folder."""
    folder = cache / f"pages-{_recipe()}"
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    if index.exists() and len(json.loads(index.read_text())) > records // PAGE:
        return folder
    offsets = [0]
    with (folder / "items.bin").open("wb") as file:
        for first in range(0, records, PAGE):
            offsets.append(offsets[-1] + file.write(items_text(first, first + PAGE)))
            progress(f"rendering pages: {first + PAGE:,} of {records:,} records")
    index.write_text(json.dumps(offsets))
    return folder


def expected_hash(cache: Path, records: int, progress: Progress) -> str:
    """Tells the SHA-256 of the rows that the job must end with, in order of their ids."""
    known = cache / f"pages-{_recipe()}" / f"rows-{records}.sha256"
    if not known.exists():
        progress(f"hashing the {records:,} rows that must come out")
        digest = hashlib.sha256()
        for text in row_texts(records):
            digest.update(text)
        known.write_text(digest.hexdigest())
    return known.read_text()


def _recipe() -> str:
    """Names what the pages depend on, so that a change of it renders them anew."""
    return hashlib.sha256(Path(incidents.__file__).read_bytes()).hexdigest()[:12]
