"""What a NATS server asks about somebody who wants to connect, and what it is answered.

The server trusts answers that are signed with the key its configuration names as issuer (`auth_callout`).
Keys and tokens have forms of NATS' own: Ed25519, written in base32 with a checksum.
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isthmus.kit.bus_users import ACCOUNT, Permissions
from isthmus.kit.ids import new_id

if TYPE_CHECKING:
    pass

_SEED, _ACCOUNT_KEY = 18 << 3, 0
_RAW_BYTES = 32
_MOST_SUBSCRIPTIONS = 16
_LARGEST_MESSAGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A question of a server.

    Attributes:
        server: Its id.
        connection: The key that stands for the connection.
        user: Who wants to connect.
        password: What it shows.
    """

    server: str
    connection: str
    user: str
    password: str

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Read a question; None when it is none.

        Its signature is not looked at: only servers may publish where questions come from, and whoever
        answers one gives away nothing to somebody who does not know a password.
        """
        try:
            asked = json.loads(_unpadded(data.split(b".")[1]))["nats"]
            login = asked["connect_opts"]
            return cls(
                str(asked["server_id"]["id"]),
                str(asked["user_nkey"]),
                str(login.get("user", "")),
                str(login.get("pass", "")),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None


class Issuer:
    """Signs answers.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(secret)
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a seed as `nk` writes it.

        Raises:
            ValueError: There is none in the file.
            OSError: The file cannot be read.
        """
        text = path.read_text().strip()
        whole = base64.b32decode(text + "=" * (-len(text) % 8))
        body, checksum = whole[:-2], whole[-2:]
        if len(body) != 2 + _RAW_BYTES or body[0] != _SEED or _checksum(body) != checksum:
            raise ValueError(f"{path} does not hold the seed of an account")
        return cls(body[2:])

    @property
    def seed(self) -> str:
        """The seed, which `load` reads; a secret."""
        return _encoded(bytes((_SEED | _ACCOUNT_KEY >> 5, (_ACCOUNT_KEY & 31) << 3)) + self._secret)

    @property
    def public(self) -> str:
        """The public key, for the server's configuration."""
        return _encoded(bytes((_ACCOUNT_KEY,)) + self._key.public_key().public_bytes_raw())

    def admit(self, request: Request, allowed: Permissions) -> bytes:
        """Answer that somebody may connect, and what it may do then."""
        rights = {
            "pub": {"allow": list(allowed.publish)},
            "sub": {"allow": list(allowed.subscribe)},
            "subs": _MOST_SUBSCRIPTIONS,
            "data": -1,
            "payload": _LARGEST_MESSAGE,
            "type": "user",
            "version": 2,
        }
        user = self._signed({"aud": ACCOUNT, "sub": request.connection, "name": request.user, "nats": rights})
        return self._answer(request, jwt=user)

    def refuse(self, request: Request) -> bytes:
        """Answer that somebody may not connect; the server does not tell it why."""
        return self._answer(request, error="not a subscriber")

    def _answer(self, request: Request, **told: str) -> bytes:
        answer = {**told, "type": "authorization_response", "version": 2}
        return self._signed({"aud": request.server, "sub": request.connection, "nats": answer}).encode()

    def _signed(self, claims: dict[str, Any]) -> str:
        whole = {"iss": self.public, "iat": int(time.time()), "jti": new_id("jti"), **claims}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, whole)
        text = ".".join(_url_safe(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        return f"{text}.{_url_safe(self._key.sign(text.encode()))}"


def _encoded(body: bytes) -> str:
    return base64.b32encode(body + _checksum(body)).decode().rstrip("=")


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0).to_bytes(2, "little")


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpadded(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


__all__ = ["Issuer", "Request"]
