"""The users of a NATS server: each process with a password and permissions of its own."""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.kit.bus_users import ACCOUNT, KICKS, SERVICES, Permissions, host
from isthmus.local.private import password, read_json, write_private

__all__ = ["OPERATOR", "SYSTEM", "NatsUsers"]

OPERATOR = "isthmus"
"""May do everything in the mesh's account; for people, no process has its password."""
SYSTEM = "system"
"""Sees into the server itself; for people, too."""
_SYSTEM_ACCOUNT = "SYS"
_NOBODYS_ACCOUNT = "NOBODY"
_LOGIN_SECONDS = 5


@dataclass(frozen=True)
class NatsUsers:
    """Passwords and permissions of everybody who connects.

    Every password follows from one seed in the folder, so that a user can be added at any time and the others
    keep theirs.

    Args:
        folder: Holds the seed, and a file with its password for each user; nobody else may enter.
    """

    folder: Path

    def password(self, user: str) -> str:
        """Return the password of a user."""
        return self._derived(f"user {user}").hex()

    def password_file(self, user: str) -> Path:
        """Return the file that a process reads its password from; it is there once the user is."""
        return self.folder / f"{user}.password"

    def accounts(self, connectors: Iterable[str]) -> str:
        """Return the part of the server's configuration that says who may do what, and write the files.

        Args:
            connectors: Those that may have hosts.
        """
        known = [*SERVICES, *map(host, sorted(set(connectors)))]
        for user in known:
            self._write_password(user.name)
        shown = {
            _SYSTEM_ACCOUNT: {
                "users": [self._login(SYSTEM)],
                "exports": [{"service": KICKS, "accounts": [ACCOUNT]}],
            },
            _NOBODYS_ACCOUNT: {},
            ACCOUNT: {
                "jetstream": "enabled",
                "imports": [{"service": {"account": _SYSTEM_ACCOUNT, "subject": KICKS}}],
                "users": [
                    self._login(OPERATOR),
                    *({**self._login(user.name), **_permissions(user.permissions)} for user in known),
                ],
            },
        }
        # The server asks the mesh who everybody else is, which are the subscribers of tenants. Who is named
        # in an account that is not listed gets in by its password without being asked for, so that a reload,
        # which takes no change of `auth_users`, can make hosts known.
        callout = {
            "issuer": self._issuer(),
            "account": ACCOUNT,
            "auth_users": [OPERATOR, SYSTEM, *(user.name for user in SERVICES)],
            "allowed_accounts": [_NOBODYS_ACCOUNT],
        }
        asking = {"timeout": _LOGIN_SECONDS, "auth_callout": callout}
        return (
            f"accounts: {json.dumps(shown, indent=1)}\nsystem_account: {_SYSTEM_ACCOUNT}\n"
            f"authorization: {json.dumps(asking, indent=1)}\n"
        )

    def _login(self, user: str) -> dict[str, str]:
        return {"user": user, "password": self.password(user)}

    def _write_password(self, user: str) -> None:
        file, wanted = self.password_file(user), self.password(user)
        if not file.exists() or file.read_text() != wanted:
            write_private(file, wanted)

    @property
    def issuer_file(self) -> Path:
        """The file with the seed of the key that signs who may be a subscriber; for the events service."""
        return self.folder / "issuer.seed"

    def _issuer(self) -> str:
        """Return the public key of the issuer, and write the file."""
        path = self.folder / "issuer.json"
        known = str(read_json(path).get("public", ""))
        if known and self.issuer_file.exists():
            return known
        # Only the first start needs the key itself, and the time that loading its library takes.
        from isthmus.kit.bus_admission import Issuer

        issuer = Issuer(self._derived("issuer"))
        write_private(self.issuer_file, issuer.seed)
        write_private(path, json.dumps({"public": issuer.public}))
        return issuer.public

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._seed().encode(), f"isthmus nats {purpose}".encode(), hashlib.sha256)

    def _seed(self) -> str:
        path = self.folder / "seed.json"
        seed = str(read_json(path).get("seed", ""))
        if not seed:
            seed = password()
            write_private(path, json.dumps({"seed": seed}))
        return seed


def _permissions(allowed: Permissions) -> dict[str, Any]:
    known: dict[str, Any] = {
        "publish": {"allow": allowed.publish},
        "subscribe": {"allow": allowed.subscribe},
    }
    if allowed.answers:
        known["allow_responses"] = {"max": 1, "expires": "10s"}
    return {"permissions": known}
