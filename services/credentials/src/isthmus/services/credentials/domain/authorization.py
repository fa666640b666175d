"""How a person is asked for consent."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from isthmus.resilience.faults import Precondition
from isthmus.services.credentials.domain.oauth import OAuth

_LEAST_INTERVAL, _USUAL_INTERVAL, _LONGEST_INTERVAL = 1.0, 5.0, 120.0
_SLOWER = 5.0


@dataclass(frozen=True, slots=True)
class Pending:
    """An authorization that was begun.

    Attributes:
        subject: Who began it; nobody else may end it.
        state_hash: SHA-256 of the state in the browser's address; None on other devices.
        poll_seconds: The least time between two questions to the token server.
        sealed: The verifier or the device code, which the vault has sealed.
    """

    tenant_id: str
    authorization_id: str
    auth_config_id: str
    subject: str
    expire_time: datetime
    state_hash: bytes | None = None
    redirect_uri: str = ""
    poll_seconds: float = 0.0
    sealed: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is sent to the browser, and what stays here.

    Attributes:
        state: Tells the answer apart from a forged one.
        verifier: Shows the token server that who redeems the code is who asked for it, RFC 7636.
    """

    state: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def new(cls) -> "Proof":
        """Makes one of 256 bits each."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The verifier's hash, RFC 7636 section 4.2."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def hash_of(state: str) -> bytes:
    """Gives what is remembered of a state: whoever reads the table cannot use it."""
    return hashlib.sha256(state.encode()).digest()


def address_of(client: OAuth, proof: Proof, redirect_uri: str) -> str:
    """Gives where the person has to go, RFC 6749 section 4.1.1."""
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(client.scopes),
        "audience": client.audience,
        "state": proof.state,
        "code_challenge": proof.challenge,
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in client.authorization_url else "?"
    return f"{client.authorization_url}{joint}{urlencode({k: v for k, v in query.items() if v})}"


def refuse_foreign(client: OAuth, issuer: str) -> None:
    """Keeps a code of one server from being sent to another, RFC 9207.

    Raises:
        Precondition: `AUTHORIZATION_FOREIGN`.
    """
    if client.issuer and issuer != client.issuer:
        message = (
            f"The answer does not come from {client.issuer}, as the configuration says it must; "
            "correct `issuer`, or find out who has sent you there, and start again."
        )
        raise Precondition("AUTHORIZATION_FOREIGN", message)


def interval_of(answer: Mapping[str, Any]) -> float:
    """Reads how often a token server may be asked, RFC 8628 section 3.2."""
    told = answer.get("interval")
    seconds = float(told) if isinstance(told, int | float) else _USUAL_INTERVAL
    return min(max(seconds, _LEAST_INTERVAL), _LONGEST_INTERVAL)


def slower(seconds: float) -> float:
    """Gives the interval after `slow_down`, RFC 8628 section 3.5."""
    return min(seconds + _SLOWER, _LONGEST_INTERVAL)


__all__ = ["Pending", "Proof", "address_of", "hash_of", "interval_of", "refuse_foreign", "slower"]
