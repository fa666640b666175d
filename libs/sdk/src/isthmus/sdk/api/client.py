"""The HTTP client that connectors use."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import msgspec
from isthmus.sdk.answers import REFUSALS, REPEATABLE, failure_of, may_have_effect
from isthmus.sdk.api.auth import Auth
from isthmus.sdk.api.exchange import Exchange, NotSent
from isthmus.sdk.api.paging import Paging, paging_of, walk
from isthmus.sdk.api.reply import Reply
from isthmus.sdk.context import WORK, current_context
from isthmus.sdk.failures import ConfigurationFailure, DataFailure, Failure
from isthmus.sdk.guard import Guard, Verdict, verdict_of
from isthmus.sdk.model import Credential
from isthmus.sdk.redaction import safe_url
from isthmus.sdk.secret import reveal
from isthmus.sdk.shaped import Shaping
from isthmus.sdk.waiting import asked_to_wait
from pydantic import BaseModel, SecretStr

_READING = frozenset({"GET", "HEAD"})
_IDEMPOTENT = _READING | {"PUT", "DELETE", "OPTIONS"}


class Api:
    """A client for one system's HTTP interface.

    Paces, repeats, bounds and redacts by itself. Reading methods raise a typed
    failure for every status but success and 304. Writing methods also return
    400, 409, 412, 413 and 422, because they usually concern one record; a
    destination that does not look at such a reply fails, so that no record is
    taken as written when it was refused.

    Args:
        base_url: Paths are appended to it; nothing outside its host is ever called.
        bearer: A token; takes the place of the leased credential.
        basic: User name and password; takes the place of the leased credential.
        headers: Sent with every request.
        rate: Most requests, for example `10/s`, `600/m` or `1000/h`; an instance may have one of its own.
        auth: Anything else that proves identity.
        verify: Whether certificates are checked; leave it on.
        authorities: Certificates in PEM of further authorities that the system is trusted by.
    """

    def __init__(
        self,
        base_url: Any,
        *,
        bearer: SecretStr | str | None = None,
        basic: tuple[str, SecretStr | str] | None = None,
        headers: Mapping[str, str] | None = None,
        rate: str = "",
        auth: Auth | None = None,
        verify: bool = True,
        authorities: str = "",
    ) -> None:
        _silence()
        self.context = current_context()
        self._base = _base(base_url)
        self._joined = "", self._base
        self._headers = dict(headers or {})
        own = auth or _auth(bearer, basic)
        self._leased = own is None
        given = own or Auth.of(self.context.credential)
        self.context.secrets.update({reveal(bearer), reveal(basic[1]) if basic else ""} - {""})
        self._exchange = Exchange(self.context, self._base, given, verify, authorities)
        # Requests are counted where they are sent, each step of a redirect included.
        self._guard = Guard(self.context, self._base.netloc.decode(), rate=rate, counts=False)
        self.context.closers.append(self.close)

    async def close(self) -> None:
        """Closes the connections; the session does it too."""
        await self._exchange.close()

    async def get(self, path: str = "", *, if_none_match: str = "", **more: Any) -> Reply:
        """Reads; with `if_none_match` the reply may be `not_modified`."""
        headers = {**more.pop("headers", {}), **({"If-None-Match": if_none_match} if if_none_match else {})}
        return await self.request("GET", path, headers=headers, **more)

    async def post(self, path: str = "", **more: Any) -> Reply:
        """Sends; repeated only with `idempotent=True` or an `idempotency_key`."""
        return await self.request("POST", path, **more)

    async def put(self, path: str = "", **more: Any) -> Reply:
        """Replaces; may be repeated."""
        return await self.request("PUT", path, **more)

    async def patch(self, path: str = "", **more: Any) -> Reply:
        """Changes; repeated only with `idempotent=True` or an `idempotency_key`."""
        return await self.request("PATCH", path, **more)

    async def delete(self, path: str = "", **more: Any) -> Reply:
        """Removes; may be repeated."""
        return await self.request("DELETE", path, **more)

    async def request(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: frozenset[int] | set[int] = frozenset(),
        idempotent: bool | None = None,
        idempotency_key: str = "",
    ) -> Reply:
        """Sends one request, repeating it where that is safe and helps.

        Args:
            method: In upper case.
            path: Appended to the base address, or a whole address on its host.
            params: Query parameters; None values are left out, dates are written as ISO 8601.
            json: The body: a model, or anything that JSON can hold.
            content: The body as bytes, in place of `json`.
            headers: Added to the client's own.
            accept: Further statuses to return in place of raising.
            idempotent: Says whether repeating is safe; by default what the method promises.
            idempotency_key: Sent as `Idempotency-Key`; makes repeating safe.

        Raises:
            Failure: Typed by what has to happen next.
        """
        url = with_params(self.url(path), params)
        sent = {**self._headers, **(headers or {})}
        if json is not None:
            content = _encoded(json)
            sent.setdefault("Content-Type", "application/json")
        if idempotency_key:
            sent["Idempotency-Key"] = idempotency_key
        safe = (method in _IDEMPOTENT or bool(idempotency_key)) if idempotent is None else idempotent
        with _noted_harmless():
            return await self._answered(method, url, sent, content, safe=safe, accept=accept)

    async def _answered(
        self,
        method: str,
        url: httpx.URL,
        sent: Mapping[str, str],
        content: bytes | None,
        *,
        safe: bool,
        accept: frozenset[int] | set[int],
    ) -> Reply:
        credential = self.context.credential
        reply = await self._repeated(method, url, sent, content, safe=safe)
        if reply.raw_status == 401 and await self._renewed(credential):
            reply = await self._repeated(method, url, sent, content, safe=safe)
        if reply.not_modified:
            self.context.stats.not_modified = True
            return reply
        if reply.succeeded or reply.raw_status in accept:
            return reply
        if method in {"GET", "HEAD"} or reply.raw_status not in REFUSALS:
            raise failure_of(reply.raw_status, reply.url, reply.headers, method)
        work = WORK.get()
        if work is not None:
            work.refusals.append(reply)
        return reply

    async def pages(
        self,
        path: str = "",
        *,
        follow: "str | Paging | None" = None,
        since: Any = None,
        since_param: str = "since",
        params: Mapping[str, Any] | None = None,
        state: dict[str, Any] | None = None,
        records: str | None = None,
        shape: str = "list",
        whole_for: Sequence[str] | None = None,
        **more: Any,
    ) -> AsyncGenerator[Any, None]:
        """Gives the bodies of all pages; a reading that goes on starts at the page it stopped at.

        A record that cannot be read (half of a surrogate pair, bytes that are not UTF-8, a number out of
        range, a key twice) is left out of the body where the place of the records is known, and goes to
        quarantine as it came. Elsewhere it fails the page.

        Args:
            path: As for `request`.
            follow: A paging component of `isthmus.sdk.api`, or the dotted path of the
                next page's address in the body; None for a single page.
            since: Sent as `since_param` when it is not None.
            since_param: Name of that parameter.
            params: Further query parameters.
            state: The reading's `state`; keeps the entity tag of a single page and change tokens.
            records: Dotted path of the records in the body; empty for the body itself. Without it they are
                known where the body is a list, or where `follow` names them.
            shape: What is there: a `list`, a `map` (an object of records) or one `object`.
            whole_for: For connectors that hand the list at `records` on without a look at what is in it: it
                may then hold structs of only what the reading's taker wants. Names the members that make a
                record special; a page with such a record comes whole. None where records are looked at.
            more: As for `request`.

        Raises:
            DataFailure: `PAGING_LOOP`, when a page leads back to one already given.
        """
        query = {**(params or {}), **({since_param: since} if since is not None else {})}
        kept = state if state is not None else {}
        paging = paging_of(follow)
        known = records if records is not None else getattr(paging, "records", "") or None

        shaping = _shaping(known, shape, whole_for)

        async def read(reply: Reply) -> Any:
            return await reply.readable(known, shape, shaping)

        steps = walk(self, paging, path, params=query, kept=kept, more=more, read=read)
        async with aclosing(steps) as replies:
            async for reply in replies:
                yield reply.body

    def url(self, path: str = "") -> httpx.URL:
        """The whole address of a path.

        Raises:
            ConfigurationFailure: It lies on another host.
        """
        if path.startswith(("http://", "https://")):
            return self._exchange.same_host(httpx.URL(path))
        if not path:
            return self._base
        if self._joined[0] != path:  # page after page is asked for at one path
            head, _, query = path.partition("?")
            joined = f"{self._base.path.rstrip('/')}/{head.lstrip('/')}"
            self._joined = path, self._base.copy_with(path=joined, query=query.encode() or None)
        return self._joined[1]

    def link(self, reply: Reply, link: str) -> str:
        """The whole address of a link in a reply, on the configured host and free of secrets.

        Raises:
            ConfigurationFailure: It leads to another host.
        """
        try:
            target = httpx.URL(reply.resolve(link))
        except (httpx.InvalidURL, ValueError):
            message = f"{reply.url} gives a next page whose address cannot be read."
            raise DataFailure("LINK_INVALID", message) from None
        return self._exchange.without_auth(str(self._exchange.same_host(target)))

    async def _repeated(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, *, safe: bool
    ) -> Reply:
        async def once() -> Reply:
            with _counted_effect(method) as answered:
                reply = await self._exchange.send(method, url, headers, content)
                answered(reply.raw_status)
            self.context.stats.throttled += reply.raw_status == 429
            return reply

        what = f"{method} {safe_url(url, self.context.secrets)}"
        judge = _judged_once if not safe else _judged_reading if method in _READING else _judged
        return await self._guard.run(once, what=what, judge=judge)

    async def _renewed(self, refused: Credential) -> bool:
        """Takes a fresh credential, once for each request that was refused; False where there is none."""
        if not self._leased or self.context.renew is None:
            return False
        if self.context.credential is refused:  # else another request has met the refusal first
            credential = await self.context.renew()
            self.context.secrets.update(credential.secrets())
            self.context.credential = credential
        self._exchange.auth = Auth.of(self.context.credential)
        return self.context.credential != refused


@contextmanager
def _counted_effect(method: str) -> Iterator[Callable[[int], None]]:
    """Counts a request that may have changed something: answered so, or sent and not answered."""
    status = 0
    sent = True

    def answered(number: int) -> None:
        nonlocal status
        status = number

    try:
        yield answered
    except (NotSent, ConfigurationFailure):
        sent = False
        raise
    finally:
        work = WORK.get()
        reads = method in {"GET", "HEAD"}
        if work is not None and not reads and sent and (not status or may_have_effect(status)):
            work.effects += 1


@contextmanager
def _noted_harmless() -> Iterator[None]:
    """Remembers a failure behind which nothing can have changed at the system."""
    work = WORK.get()
    before = work.effects if work is not None else 0
    try:
        yield
    except Failure as failure:
        if work is not None and work.effects == before:
            work.harmless = failure
        raise


def _shaping(records: str | None, shape: str, whole_for: Sequence[str] | None) -> Shaping | None:
    work = WORK.get()
    if work is None or work.shaper is None or work.keying is None:
        return None
    if records is None or shape != "list" or whole_for is None:
        return None
    wanted = work.shaper((*work.keying.paths, *whole_for))
    return Shaping(wanted, records, whole_for, work.keying.keys) if wanted is not None else None


def with_params(url: httpx.URL, params: Mapping[str, Any] | None) -> httpx.URL:
    """The address with more query parameters; None values are left out."""
    told = {name: _text(value) for name, value in (params or {}).items() if value is not None}
    return url.copy_merge_params(told) if told else url


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [str(_text(item)) for item in value]
    return str(value)


def _encoded(body: Any) -> bytes:
    if isinstance(body, BaseModel):
        return body.model_dump_json(by_alias=True).encode()
    return msgspec.json.encode(body, enc_hook=_model)


def _model(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    kind = type(value).__name__
    raise TypeError(f"A body cannot hold a {kind}; give text, numbers, lists, dictionaries, times or models.")


def _judged(outcome: Any) -> Verdict | None:
    """What a status says; failures to get one are left to their class."""
    if not isinstance(outcome, Reply):
        return None
    repeat = outcome.raw_status in REPEATABLE
    asked = asked_to_wait(outcome.headers) if repeat else None
    return Verdict(repeat, healthy=outcome.raw_status < 500, asked=asked)


def _judged_reading(outcome: Any) -> Verdict | None:
    """The same for what changes nothing: a system that failed at it once may well do it the next time."""
    verdict = _judged(outcome)
    if verdict is None or outcome.raw_status != 500:
        return verdict
    return replace(verdict, repeat=True, asked=asked_to_wait(outcome.headers))


def _judged_once(outcome: Any) -> Verdict | None:
    """The same for what must not happen twice: only what never reached the system is sent again."""
    verdict = _judged(outcome) or verdict_of(outcome)
    return replace(verdict, repeat=isinstance(outcome, NotSent))


def _auth(bearer: SecretStr | str | None, basic: tuple[str, SecretStr | str] | None) -> Auth | None:
    if bearer is not None:
        return Auth.bearer(reveal(bearer))
    return Auth.basic(basic[0], reveal(basic[1])) if basic is not None else None


def _base(base_url: Any) -> httpx.URL:
    try:
        url = httpx.URL(str(base_url))
    except (httpx.InvalidURL, UnicodeError):
        raise ConfigurationFailure("URL_INVALID", "The base address is not a URL.", path="url") from None
    if url.scheme not in {"http", "https"} or not url.host:
        message = f"{safe_url(url)} has to start with http:// or https:// and name a host."
        raise ConfigurationFailure("URL_INVALID", message, path="url")
    if url.userinfo:
        message = "The base address holds a user name or password; put them into the credential."
        raise ConfigurationFailure("URL_INVALID", message, path="url")
    return url


def _silence() -> None:
    # httpx logs whole addresses with their query at INFO, httpcore headers at DEBUG; both may hold secrets.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
