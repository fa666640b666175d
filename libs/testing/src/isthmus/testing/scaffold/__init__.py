"""Writes a new connector that works: settings, streams, webhook, sandbox, test and README."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["NAME", "scaffold", "words_of"]

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""What a connector may be called: lower case, parts separated by hyphens."""


def words_of(name: str) -> dict[str, str]:
    """What stands for the connector's name in its files, by placeholder."""
    parts = name.split("-")
    title = " ".join(part.capitalize() for part in parts)
    return {
        "__name__": name,
        "__dist__": f"isthmus-connector-{name}",
        "__package__": f"isthmus_{name.replace('-', '_')}",
        "__Class__": "".join(part.capitalize() for part in parts),
        "__Title__": title,
        "__title__": title,
    }


def scaffold(name: str, folder: Path) -> list[Path]:
    """Write the files of a new connector into a folder that is empty or not there.

    Args:
        name: Of the connector, see `NAME`.
        folder: Where to.

    Returns:
        The files, in order.

    Raises:
        ValueError: The name is none.
        FileExistsError: There is something in the folder.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a connector: use lower case and hyphens, like `acme-itsm`."
        )
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: choose another folder.")
    return sorted(_copied(files(__package__) / "template", folder, words_of(name)))


def _copied(source: Traversable, target: Path, words: dict[str, str]) -> list[Path]:
    written = []
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.name == "__pycache__":
            continue
        place = target / _filled(entry.name, words)
        if entry.is_dir():
            written += _copied(entry, place, words)
        else:
            place.write_text(_filled(entry.read_text(), words))
            written.append(place)
    return written


def _filled(text: str, words: dict[str, str]) -> str:
    # Longer placeholders are no part of others, and Python's own `__name__` and `__all__` are not used there.
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text
