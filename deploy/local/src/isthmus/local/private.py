"""Files that only their owner may read."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

__all__ = ["password", "private_folder", "read_json", "write_private"]


def private_folder(path: Path) -> Path:
    """Make a folder, and the folders above it, that nobody but the owner may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace a file at one stroke, readable by its owner only from the first byte on."""
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing or damaged file reads as an empty one."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def password() -> str:
    """Generate a password that needs no quoting in addresses and configuration files."""
    return secrets.token_hex(24)
