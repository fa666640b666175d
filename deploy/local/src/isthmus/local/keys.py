"""Keys of the mesh's processes, and the trust file that says what each may do."""

import json
from pathlib import Path
from typing import Any

from isthmus.kit.tokens import new_key
from isthmus.local.home import Home
from isthmus.local.private import read_json, write_private

__all__ = ["KeyRing"]


class KeyRing:
    """Makes a key for each process of the mesh once and publishes its public half."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._entries: dict[str, dict[str, Any]] = {
            entry["kid"]: entry for entry in read_json(home.trust_file).get("keys", [])
        }

    def key_file(self, subject: str, permissions: tuple[str, ...] = ("*",)) -> Path:
        """Return the private key file of a process, for example of `service:registry`."""
        key_id = subject.replace(":", "-")
        path = self._home.keys / f"{key_id}.jwk"
        known = self._entries.get(key_id)
        if known is None or not path.exists() or known.get("permissions") != sorted(permissions):
            private, entry = new_key(key_id, subject, permissions)
            write_private(path, json.dumps(private))
            self._entries[key_id] = entry
            keys = sorted(self._entries.values(), key=lambda item: str(item["kid"]))
            write_private(self._home.trust_file, json.dumps({"keys": keys}, indent=2))
        return path
