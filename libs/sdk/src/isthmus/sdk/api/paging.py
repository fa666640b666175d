"""How systems cut long lists into pages; each way with its own end.

| component | asks the next page by | ends when |
| --- | --- | --- |
| `SinglePage` | nothing | after the first |
| `NextLink` | an address in the body | the address is absent, null or empty |
| `LinkHeader` | `rel="next"` of the Link header, RFC 8288 | there is no such link |
| `CursorToken` | a token in the body | the token is absent, null or empty, or `more` says false |
| `PageNumber` | a counted parameter | a page is empty, or the told number of pages is reached |
| `Offset` | the number of records so far | a page is empty, or the told total is reached |
| `RangeHeader` | `Range: items=0-99` | 416, or `Content-Range` reaches its total |
| `DeltaLink` | an address in the body | the change token comes; kept for the next reading |

A short page is not an end: systems filter after cutting. An address is followed
on the configured host only. A page that leads back to one given before is a
loop, and the reading fails rather than never ending.
"""

import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from isthmus.sdk.api.reply import Reply
from isthmus.sdk.context import PLACE, Place
from isthmus.sdk.failures import ConfigurationFailure, DataFailure, NotFound
from isthmus.sdk.records import at_path

if TYPE_CHECKING:
    from isthmus.sdk.api.client import Api

State = dict[str, Any]
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """What a page's request has beyond the first one's."""

    params: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


class Paging(Protocol):
    """One way of asking for page after page; `state` is JSON and travels in positions."""

    def start(self, kept: State) -> State:
        """The state of the first page; `kept` is what earlier readings kept."""
        ...

    def ask(self, state: State) -> Ask:
        """How the page of this state is asked for."""
        ...

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """The state of the next page; None at the end."""
        ...


class _Plain:
    def start(self, kept: State) -> State:
        """The first page needs nothing."""
        del kept
        return {}


@dataclass(frozen=True)
class SinglePage(_Plain):
    """Everything comes at once; the entity tag is kept so that nothing is read twice."""

    def start(self, kept: State) -> State:
        """Brings the entity tag of the last complete reading."""
        return {"etag": kept["etag"]} if kept.get("etag") else {}

    def ask(self, state: State) -> Ask:
        """Asks only for something newer."""
        return Ask(headers={"If-None-Match": state["etag"]}) if state.get("etag") else Ask()

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends after the first page."""
        del state
        if reply.etag:
            kept["etag"] = reply.etag
        return None


@dataclass(frozen=True)
class NextLink(_Plain):
    """The body holds the next page's address at a dotted path."""

    field: str = "next"

    def ask(self, state: State) -> Ask:
        """Asks at the address that the last page gave."""
        return Ask(url=state.get("url", ""))

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends when the address is absent, null or empty."""
        del state, kept
        link = at_path(reply.body, self.field)
        return {"url": str(link)} if link else None


@dataclass(frozen=True)
class LinkHeader(_Plain):
    """The Link header names the next page, RFC 8288."""

    rel: str = "next"

    def ask(self, state: State) -> Ask:
        """Asks at the address that the last page gave."""
        return Ask(url=state.get("url", ""))

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends when no link has the wanted relation."""
        del state, kept
        link = link_of(reply.headers.get("link", ""), self.rel)
        return {"url": link} if link else None


@dataclass(frozen=True)
class CursorToken(_Plain):
    """The body holds a token that asks for the next page.

    Attributes:
        param: The query parameter, or the field of the posted body, that takes it.
        field: Dotted path of the token in the body.
        more: Dotted path of a flag that says whether more follows; empty where there is none.
        in_body: The token goes into the posted body.
    """

    param: str = "cursor"
    field: str = "next_cursor"
    more: str = ""
    in_body: bool = False

    def ask(self, state: State) -> Ask:
        """Asks with the last page's token."""
        if "token" not in state:
            return Ask()
        token = {self.param: state["token"]}
        return Ask(body=token) if self.in_body else Ask(params=token)

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends when the token is absent, null or empty, or the flag says so."""
        del state, kept
        token = at_path(reply.body, self.field)
        if self.more and not at_path(reply.body, self.more):
            return None
        return {"token": token} if token not in (None, "", False) else None


@dataclass(frozen=True)
class PageNumber(_Plain):
    """A parameter counts the pages.

    Attributes:
        records: Dotted path of the records, by which an empty page is known.
        pages: Dotted path of the number of pages; empty where the system does not tell.
        size: Sent as `size_param` when both are given.
    """

    param: str = "page"
    first: int = 1
    size: int = 0
    size_param: str = ""
    records: str = ""
    pages: str = ""

    def ask(self, state: State) -> Ask:
        """Asks for the page by its number."""
        return Ask(params={self.param: state.get("page", self.first), **_size(self.size_param, self.size)})

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends after an empty page, or after the last that the system told of."""
        del kept
        page = state.get("page", self.first)
        told = _whole(at_path(reply.body, self.pages)) if self.pages else None
        done = page - self.first + 1 >= told if told is not None else not _count(reply, self.records)
        return None if done else {"page": page + 1}


@dataclass(frozen=True)
class Offset(_Plain):
    """A parameter counts the records so far; it grows by what came, not by what was asked for.

    Attributes:
        records: Dotted path of the records.
        total: Dotted path of the number of all records; empty where the system does not tell.
        size: Sent as `size_param`.
        first: What the first record counts as; 1 for `startIndex` of SCIM.
    """

    param: str = "offset"
    size: int = 100
    size_param: str = "limit"
    records: str = ""
    total: str = ""
    first: int = 0

    def ask(self, state: State) -> Ask:
        """Asks for the records behind those that came."""
        return Ask(params={self.param: state.get("offset", self.first), **_size(self.size_param, self.size)})

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends after an empty page, or when the told total is reached."""
        del kept
        came = _count(reply, self.records)
        offset = state.get("offset", self.first) + came
        told = _whole(at_path(reply.body, self.total)) if self.total else None
        return None if not came or (told is not None and offset - self.first >= told) else {"offset": offset}


@dataclass(frozen=True)
class RangeHeader(_Plain):
    """The Range header asks for records from one number to another.

    Attributes:
        unit: Its unit, for example `items`.
        size: How many records a page has.
    """

    unit: str = "items"
    size: int = 100

    def ask(self, state: State) -> Ask:
        """Asks for the next stretch."""
        first = state.get("first", 0)
        return Ask(headers={"Range": f"{self.unit}={first}-{first + self.size - 1}"})

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends with 416, with an answer that is no part, or when the told total is reached."""
        del state, kept
        told = re.fullmatch(r"\s*\S+\s+(\d+)-(\d+)/(\d+|\*)\s*", reply.headers.get("content-range", ""))
        if told is None:
            return None
        last, total = int(told[2]), told[3]
        return None if total != "*" and last + 1 >= int(total) else {"first": last + 1}


@dataclass(frozen=True)
class DeltaLink:
    """Pages end with a token that the next reading starts with, as in Microsoft Graph.

    A token that the system has forgotten (410) starts a complete reading.
    """

    next: str = "@odata.nextLink"
    delta: str = "@odata.deltaLink"

    def start(self, kept: State) -> State:
        """Starts at the token of the last complete reading."""
        return {"url": kept["delta"]} if kept.get("delta") else {}

    def ask(self, state: State) -> Ask:
        """Asks at the address that came last."""
        return Ask(url=state.get("url", ""))

    def after(self, state: State, reply: Reply, kept: State) -> State | None:
        """Ends with the page that brings the next token."""
        del state
        link = at_path(reply.body, self.next)
        if link:
            return {"url": str(link)}
        token = at_path(reply.body, self.delta)
        if not token:
            message = f"{reply.url} ended without {self.delta}; without it, changes would be lost."
            raise DataFailure("DELTA_TOKEN_MISSING", message)
        kept["delta"] = str(token)
        return None


def paging_of(follow: "str | Paging | None") -> Paging:
    """The component for what an author wrote behind `follow=`."""
    if follow is None:
        return SinglePage()
    return NextLink(follow) if isinstance(follow, str) else follow


async def walk(
    api: "Api",
    paging: Paging,
    path: str,
    *,
    params: Mapping[str, Any],
    kept: State,
    more: Mapping[str, Any],
    read: Callable[[Reply], Awaitable[Any]],
) -> AsyncGenerator[Reply, None]:
    """Gives page after page, its body read by `read`, and tells the reading in progress where it stands."""
    place = PLACE.get() or Place()
    leads, saved = place.lead(_request(path, params, paging))
    state = saved if saved is not None else paging.start(kept)
    seen: deque[bytes] = deque(maxlen=_REMEMBERED)
    try:
        for number in range(api.context.limits.max_pages):
            _refuse_loop(state, seen, path)
            try:
                reply = await _page(api, paging.ask(state), path, params, more)
            except (NotFound, ConfigurationFailure) as failure:
                if number or not state or failure.reason == "REDIRECTED":
                    raise
                # Tokens grow old; from the beginning the same records come again and take no second effect.
                kept.pop("delta", None)
                kept.pop("etag", None)
                state = paging.start(kept)
                reply = await _page(api, paging.ask(state), path, params, more)
            if reply.not_modified or reply.raw_status == 416:
                return
            await read(reply)
            following = paging.after(state, reply, kept)
            if following is not None and "url" in following:
                following["url"] = api.link(reply, following["url"])
            if kept.get("delta"):
                kept["delta"] = api.link(reply, kept["delta"])
            if leads:
                place.enter(state)
            yield reply
            if leads:
                await place.leave(following)
            if following is None:
                return
            state = following
    finally:
        if leads:
            place.release()
    message = f"{path} has more than {api.context.limits.max_pages:,} pages; narrow it down."
    raise DataFailure("PAGING_ENDLESS", message)


async def _page(api: "Api", ask: Ask, path: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Reply:
    given = dict(more)
    method = given.pop("method", "GET")
    headers = {**given.pop("headers", {}), **ask.headers}
    json = given.pop("json", None)
    body = {**(json or {}), **ask.body} if ask.body else json
    query = {} if ask.url else {**params, **ask.params}
    return await api.request(
        method, ask.url or path, params=query, json=body, headers=headers,
        accept={416} if "Range" in ask.headers else frozenset(), idempotent=True, **given,
    )  # fmt: skip


def records_of(body: Any, path: str = "") -> list[Any]:
    """The list of records in a body: at a path, or the body itself, or its only list."""
    found = at_path(body, path) if path else body
    if isinstance(found, list):
        return found
    if not path and isinstance(found, Mapping):
        lists = [value for value in found.values() if isinstance(value, list)]
        if len(lists) == 1:
            return lists[0]
    return []


def _count(reply: Reply, path: str) -> int:
    """How many records came, those included that cannot be read."""
    return len(records_of(reply.body, path)) + len(reply.unread)


def link_of(header: str, rel: str) -> str:
    """The target of a relation in a Link header; empty where there is none."""
    for match in re.finditer(r"<([^>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:\"[^\"]*\"|[^\s,;\"]+))?)*)", header):
        found = re.search(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s,;\"]+))", match[2], re.IGNORECASE)
        if found and rel in (found[1] or found[2] or "").lower().split():
            return match[1]
    return ""


def _refuse_loop(state: State, seen: "deque[bytes]", path: str) -> None:
    mark = msgspec.json.encode(state, order="sorted")
    if mark in seen:
        message = (
            f"{path or 'The list'} leads back to a page that was read already; the system pages in a circle."
        )
        raise DataFailure("PAGING_LOOP", message)
    seen.append(mark)


def _request(path: str, params: Mapping[str, Any], paging: Paging) -> str:
    told = sorted((name, str(value)) for name, value in params.items() if value is not None)
    return f"{path} {type(paging).__name__} {told}"[:1000]


def _size(param: str, size: int) -> dict[str, int]:
    return {param: size} if param and size else {}


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
