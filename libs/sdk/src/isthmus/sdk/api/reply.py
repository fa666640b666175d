"""What the system answered."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from isthmus.sdk.context import WORK
from isthmus.sdk.decode import decode_json
from isthmus.sdk.failures import DataFailure, TransientFailure
from isthmus.sdk.page import ReadReject
from isthmus.sdk.salvage import salvaged
from isthmus.sdk.shaped import Shaping

_UNREAD = object()


class Reply:
    """One answer, read to its end and known to be within the limits.

    Attributes:
        url: The address without its query; safe to show.
        headers: Names in lower case.
        content: The body, decompressed.
        unread: Records that `readable` has left out, because they cannot be read.
    """

    def __init__(
        self, status: int, url: str, headers: Mapping[str, str], content: bytes, target: str = ""
    ) -> None:
        self._status = status
        self._target = target or url
        self.url = url
        self.headers = headers
        self.content = content
        self.examined = False
        self.unread: tuple[ReadReject, ...] = ()
        self._body: Any = _UNREAD

    def __repr__(self) -> str:
        return f"<Reply {self._status} from {self.url}, {len(self.content)} bytes>"

    def resolve(self, link: str) -> str:
        """A link of this answer as a whole address, RFC 3986; links may be relative to what was asked for."""
        return urljoin(self._target, link)

    @property
    def status(self) -> int:
        """The HTTP status; looking at it counts as having dealt with a refusal."""
        self.examined = True
        return self._status

    @property
    def raw_status(self) -> int:
        """The HTTP status, for the client itself: looking at it deals with nothing."""
        return self._status

    @property
    def succeeded(self) -> bool:
        """Like `ok`, for the client itself."""
        return 200 <= self._status < 300

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        self.examined = True
        return 200 <= self._status < 300

    @property
    def not_modified(self) -> bool:
        """Nothing changed since the entity tag that was sent."""
        return self._status == 304

    @property
    def etag(self) -> str:
        """The entity tag, empty where the system gives none."""
        return self.headers.get("etag", "")

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 show as replacement characters."""
        return self.content.decode(errors="replace")

    @property
    def body(self) -> Any:
        """The body as JSON; None where there is none.

        Raises:
            DataFailure: When it is something else; the message names address and place.
        """
        if self._body is _UNREAD:
            empty = self._status in {204, 304} or (not self.content.strip() and 200 <= self._status < 300)
            self._body = None if empty and not self.content else decode_json(self.content, self._where)
        return self._body

    async def readable(
        self, records: str | None = "", shape: str = "list", shaping: Shaping | None = None
    ) -> Any:
        """The body as JSON, without single records that cannot be read.

        These go to quarantine with the next page that the reading gives, as the system sent them.

        Args:
            records: Dotted path of the records; empty for the body itself, None where that is known only
                when it is a list.
            shape: `list`, `map` (an object of records) or `object` (one record).
            shaping: Decodes the records into structs where nothing about them is odd.

        Raises:
            DataFailure: As `body`, where the trouble is not inside of single records.
            TransientFailure: `ANSWER_TRUNCATED`, the page ends in the middle; it may be whole the next time.
        """
        if shaping is not None and self._body is _UNREAD:
            shaped = shaping.decoded(self.content, self._where)
            if shaped is not None:
                self._body = shaped
        try:
            return self.body
        except DataFailure as failure:
            if failure.reason == "ANSWER_TRUNCATED":
                raise TransientFailure(failure.reason, failure.message) from None
            body, unread = await asyncio.to_thread(
                salvaged, self.content, self._where, failure, records, shape
            )
        self._body, self.unread = body, tuple(one.reject for one in unread)
        work = WORK.get()
        if work is not None:
            work.unread.extend(self.unread)
        return body

    @property
    def _where(self) -> str:
        return f"The answer of {self.url}"
