"""Who sent a webhook: the ways in which senders sign, each as a function that checks one event.

Whatever is wrong (a missing or odd header, an unknown secret, a changed body, an old time) ends in one and
the same `SignatureInvalid`, so that nobody learns from the answer how far he has come. Nothing else is
raised, whatever was received. A secret that is none is a `ConfigurationFailure` of whoever makes the check.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from isthmus.sdk.failures import ConfigurationFailure, SignatureInvalid
from isthmus.sdk.page import Event
from isthmus.sdk.secret import Secret, reveal


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook of which it is known who sent it.

    Attributes:
        delivery_id: The same whenever the same delivery comes again, and not to be chosen by who repeats one:
            what the sender has signed as its id, or a digest of what it has signed.
        signed_at: When, in Unix seconds; None where the sender signs no time. Such a delivery may come again
            at any time, so its id has to be remembered.
    """

    delivery_id: str
    signed_at: int | None = None


Verify = Callable[[Event], Delivery]
"""Tells who an event is from.

Raises:
    SignatureInvalid: Not from whoever knows the secret.
"""
Clock = Callable[[], float]

TOLERANCE_SECONDS = 300
"""How far a signed time may lie from ours, before or after."""
_LONGEST_HEADER = 8192
_MOST_SIGNATURES = 20
_MOST_FIELDS = 1000
_TIME = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_ID = re.compile(r"[!-\-/-~]{1,256}", re.ASCII)  # printable, without the dot that ends it where it is signed


def standard_webhooks(*secrets: Secret | str, clock: Clock = time.time) -> Verify:
    """Return the check of Standard Webhooks: HMAC-SHA256 over id, time and body.

    Args:
        secrets: As the sender shows them, `whsec_…`; several while one takes the place of another.
        clock: Tells the time.

    Raises:
        ConfigurationFailure: `SIGNING_SECRET_INVALID`.
    """
    keys = [_from_base64(text.removeprefix("whsec_")) for text in _usable(secrets)]

    def prove(headers: Mapping[str, str], body: bytes) -> Delivery | None:
        name, moment = headers.get("webhook-id", ""), _recent(headers.get("webhook-timestamp", ""), clock)
        if moment is None or not _ID.fullmatch(name):
            return None
        signed = f"{name}.{moment}.".encode() + body
        given = _after(headers.get("webhook-signature", "").split(" "), "v1,")
        found = _matches(given, (_base64(_hmac(key, signed)) for key in keys))
        return Delivery(name, moment) if found else None

    return _checked(prove)


def slack(*secrets: Secret | str, clock: Clock = time.time) -> Verify:
    """Return the check of Slack's scheme `v0`: HMAC-SHA256 over time and body."""
    keys = [text.encode() for text in _usable(secrets)]

    def prove(headers: Mapping[str, str], body: bytes) -> Delivery | None:
        moment = _recent(headers.get("x-slack-request-timestamp", ""), clock)
        if moment is None:
            return None
        signed = f"v0:{moment}:".encode() + body
        given = _after([headers.get("x-slack-signature", "")], "v0=")
        found = _matches(given, (_hmac(key, signed).hex() for key in keys))
        return Delivery(_digest(signed), moment) if found else None

    return _checked(prove)


def hmac_of_body(
    *secrets: Secret | str, header: str, prefix: str = "", separator: str = ",", algorithm: str = "sha256"
) -> Verify:
    """Return the check of an HMAC in hexadecimal over the body alone, which many systems send.

    Args:
        secrets: Several while one takes the place of another.
        header: Where the signatures are.
        prefix: What each begins with; others are passed over.
        separator: Stands between several.
        algorithm: `sha256`, `sha384` or `sha512`.

    Raises:
        ConfigurationFailure: `SIGNING_SECRET_INVALID`.
    """
    keys = [text.encode() for text in _usable(secrets)]
    wanted = header.lower()

    def prove(headers: Mapping[str, str], body: bytes) -> Delivery | None:
        given = _after((part.strip() for part in headers.get(wanted, "").split(separator)), prefix)
        found = _matches(given, (hmac.new(key, body, algorithm).hexdigest() for key in keys))
        return Delivery(_digest(body)) if found else None

    return _checked(prove)


def github(*secrets: Secret | str) -> Verify:
    """Return the check of GitHub's SHA-256; the older SHA-1 beside it proves nothing."""
    return hmac_of_body(*secrets, header="x-hub-signature-256", prefix="sha256=")


def pagerduty(*secrets: Secret | str) -> Verify:
    """Return the check of PagerDuty's webhooks of version 3."""
    return hmac_of_body(*secrets, header="x-pagerduty-signature", prefix="v1=")


def token(*tokens: Secret | str, header: str) -> Verify:
    """Return the check of a header that is the secret itself, as GitLab's `X-Gitlab-Token`."""
    known = _usable(tokens)
    wanted = header.lower()

    def prove(headers: Mapping[str, str], body: bytes) -> Delivery | None:
        return Delivery(_digest(body)) if _matches([headers.get(wanted, "")], known) else None

    return _checked(prove)


def basic(*pairs: Secret | str) -> Verify:
    """Return the check of user and password, `user:password`, as hooks of Azure DevOps send them."""
    return token(*(f"Basic {_base64(text.encode())}" for text in _usable(pairs)), header="authorization")


def twilio(*secrets: Secret | str, url: str) -> Verify:
    """Return the check of Twilio's HMAC-SHA1 over the address and the fields of the form.

    Args:
        secrets: Auth tokens of the account.
        url: The whole address that Twilio calls, as it was entered there.
    """
    keys = [text.encode() for text in _usable(secrets)]

    def prove(headers: Mapping[str, str], body: bytes) -> Delivery | None:
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return None
        signed = (url + "".join(name + text for name, text in sorted(set(fields)))).encode()
        # SHA-1 is the vendor's choice; as the hash of an HMAC it still holds.
        proofs = (_base64(hmac.new(key, signed, hashlib.sha1).digest()) for key in keys)
        found = _matches([headers.get("x-twilio-signature", "")], proofs)
        return Delivery(_digest(signed)) if found else None

    return _checked(prove)


def _checked(prove: Callable[[Mapping[str, str], bytes], Delivery | None]) -> Verify:
    def verify(event: Event) -> Delivery:
        headers = {name.lower(): text for name, text in event.headers.items() if len(text) <= _LONGEST_HEADER}
        delivery = prove(headers, event.raw)
        if delivery is None:
            raise SignatureInvalid
        return delivery

    return verify


def _usable(secrets: Iterable[Secret | str]) -> list[str]:
    """An empty secret would make everybody's signature valid."""
    known = [reveal(secret) for secret in secrets]
    if not known or not all(known):
        raise _unusable("A signing secret is missing; enter the one that the sender shows.")
    return known


def _from_base64(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if not key:
        raise _unusable("The signing secret is not in base64; enter it as the sender shows it.")
    return key


def _unusable(message: str) -> ConfigurationFailure:
    return ConfigurationFailure("SIGNING_SECRET_INVALID", message)


def _recent(text: str, clock: Clock) -> int | None:
    """Read a time that is spelled in the one usual way, and is not far from now."""
    if not _TIME.fullmatch(text):
        return None
    moment = int(text)
    return moment if abs(clock() - moment) <= TOLERANCE_SECONDS else None


def _after(given: Iterable[str], prefix: str) -> list[str]:
    return [text.removeprefix(prefix) for text in given if text.startswith(prefix)][:_MOST_SIGNATURES]


def _matches(given: Iterable[str], proofs: Iterable[str]) -> bool:
    """Compare each with each, in a time that tells nothing of how much of one was right."""
    known = [proof.encode() for proof in proofs]
    shown = [text.encode("utf-8", "replace") for text in given]
    equal = [hmac.compare_digest(one, proof) for one in shown for proof in known]
    return any(equal)


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _digest(signed: bytes) -> str:
    return hashlib.sha256(signed).hexdigest()


__all__ = [
    "TOLERANCE_SECONDS",
    "Delivery",
    "Verify",
    "basic",
    "github",
    "hmac_of_body",
    "pagerduty",
    "slack",
    "standard_webhooks",
    "token",
    "twilio",
]
