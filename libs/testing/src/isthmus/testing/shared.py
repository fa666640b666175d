"""Where vendors' descriptions and public data are, which some tests hold our work against."""

import os
from pathlib import Path

import pytest

__all__ = ["SHARED", "shared"]

_REPOSITORY = Path(__file__).resolve().parents[5]
SHARED = Path(os.environ.get("ISTHMUS_SHARED") or _REPOSITORY.parent / "shared")
"""The folder: `ISTHMUS_SHARED`, or `shared` beside the repository; it may be missing."""


def shared(*parts: str) -> Path:
    """Name something in the folder; the present test is skipped where it is missing."""
    found = SHARED.joinpath(*parts)
    if not found.exists():
        pytest.skip(f"{found} is not there; set ISTHMUS_SHARED")
    return found
