"""Keyset paging: a page token is the key of the last row already shown."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, Self, TypeVar

from isthmus.resilience.faults import FixRequest

_LARGEST_PAGE = 1000
_LONGEST_TOKEN = 4096
_LARGEST_ANSWER = 2 * 1024 * 1024

T = TypeVar("T")


def encode_token(after: dict[str, Any]) -> str:
    """Return the opaque token that resumes a list behind the row with the key `after`."""
    packed = json.dumps(after, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _decode_token(token: str) -> dict[str, Any]:
    try:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("too long")
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        after = json.loads(packed, parse_constant=_refuse)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _invalid() from error
    if not isinstance(after, dict) or not after or not all(map(_plain, after.values())):
        raise _invalid()
    return after


def _plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return value is None or (isinstance(value, str) and "\0" not in value and value.isprintable())


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _invalid() -> FixRequest:
    message = "The page token was not issued by this list; start again without one."
    return FixRequest("PAGE_TOKEN_INVALID", message, path="page_token")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page of a list, as asked for.

    Attributes:
        size: How many rows at most, 1 to 1000.
        after: The key of the last row already shown; None on the first page.
    """

    size: int
    after: dict[str, Any] | None = None

    @classmethod
    def parse(
        cls,
        page_size: int,
        page_token: str,
        *,
        default: int = 50,
        keys: Mapping[str, type] | Sequence[str] | None = None,
    ) -> Self:
        """Read the two paging fields of a request.

        Args:
            page_size: Rows wanted; 0 means `default`, more than 1000 means 1000.
            page_token: `next_page_token` of the page before, or empty.
            default: Page size when the caller does not care.
            keys: When given, the members a token of this list has, texts unless their types are given;
                a token of another list is refused.

        Raises:
            FixRequest: `FIELD_INVALID` or `PAGE_TOKEN_INVALID`.
        """
        if page_size < 0:
            raise FixRequest("FIELD_INVALID", "Use a page size of 0 to 1000.", path="page_size")
        after = _decode_token(page_token) if page_token else None
        if after is not None and keys is not None:
            types = keys if isinstance(keys, Mapping) else dict.fromkeys(keys, str)
            if {name: type(value) for name, value in after.items()} != types:
                raise _invalid()
        return cls(size=min(page_size or default, _LARGEST_PAGE), after=after)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list and the token that leads to the next one, empty at the end."""

    items: Sequence[T]
    next_token: str = ""

    @classmethod
    def of(cls, rows: Sequence[T], request: PageRequest, key: Callable[[T], dict[str, Any]]) -> Self:
        """Cut a page out of rows fetched with `LIMIT request.size + 1`.

        Args:
            rows: Up to `request.size + 1` rows in list order.
            request: The page asked for.
            key: Gives the sort key of a row, which becomes the token.
        """
        items = rows[: request.size]
        more = len(rows) > request.size
        return cls(items=items, next_token=encode_token(key(items[-1])) if more else "")


class Sized(Protocol):
    """A message that knows how large it is on the wire."""

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """Return the size in bytes."""
        ...


M = TypeVar("M", bound=Sized)


def fitting(messages: Iterable[M], size: int) -> list[M]:
    """Cut a page to what fits into one answer: `size` messages or 2 MiB, and at least one message.

    Args:
        messages: In list order, more than `size` of them where another page follows.
        size: Messages wanted at most.
    """
    shown: list[M] = []
    room = _LARGEST_ANSWER
    for message in islice(messages, size):
        room -= message.ByteSize()
        if room < 0 and shown:
            break
        shown.append(message)
    return shown


__all__ = ["Page", "PageRequest", "encode_token", "fitting"]
