"""Where a page begins: what a page token of each list carries."""

import base64

from isthmus.kit import PageRequest
from isthmus.resilience.faults import FixRequest


def pack_key(key: str) -> str:
    """Pack a key for a page token: keys hold separators and may be long, tokens neither."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_behind(page: PageRequest) -> str:
    """Return the key after which a page begins.

    Raises:
        FixRequest: `PAGE_TOKEN_INVALID`.
    """
    if page.after is None:
        return ""
    try:
        key = base64.b64decode(str(page.after["key"]), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise _invalid() from error
    if "\0" in key:
        raise _invalid()
    return key


def number_behind(page: PageRequest, member: str, start: int) -> int:
    """Return the number after which a page begins; `start` on the first page.

    Raises:
        FixRequest: `PAGE_TOKEN_INVALID`.
    """
    number = start if page.after is None else page.after[member]
    if not isinstance(number, int):
        raise _invalid()
    return number


def _invalid() -> FixRequest:
    message = "The page token was not issued by this list; start again without one."
    return FixRequest("PAGE_TOKEN_INVALID", message, path="page_token")


__all__ = ["key_behind", "number_behind", "pack_key"]
