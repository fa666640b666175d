"""Reads and writes what the settings describe."""

import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from isthmus.connectors.http_json import actions
from isthmus.connectors.http_json.records import SPECIAL, records_in
from isthmus.connectors.http_json.settings import Settings, StreamSettings
from isthmus.connectors.http_json.writing import Writer
from isthmus.sdk import (
    Api,
    AuthMethod,
    Between,
    Connector,
    Guarantee,
    OnDoubt,
    Page,
    ReadMode,
    Stream,
    WriteMode,
    action,
)

# Answers to HEAD at the base address from hosts that run and have nothing there.
_ANSWERS = frozenset({301, 302, 303, 307, 308, 400, 404, 405, 406, 410, 501})


class HttpJson(Connector[Settings]):
    """Reads and writes any JSON over HTTP interface that its settings describe."""

    connector_id = "http-json"
    title = "JSON over HTTP"
    system_type = "api"
    author = "Isthmus"
    is_built_in = True
    divides_streams = True
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = tuple(AuthMethod)

    def open(self) -> None:
        """Makes the client; the credential is the leased one."""
        given = self.settings
        self.api = Api(
            given.base_url,
            headers=given.headers,
            rate=given.rate,
            verify=given.verify_tls,
            authorities=given.authorities,
        )

    async def check(self) -> None:
        """Asks at `check_path`; without one a sample proves it all, or any answer that the host runs."""
        if self.settings.check_path:
            await self.api.get(self.settings.check_path)
        elif not any(told.path for told in self.settings.streams):
            await self.api.request("HEAD", accept=_ANSWERS)

    async def streams(self) -> list[Stream]:
        """One stream for each that the settings describe."""
        return [self._stream(told) for told in self.settings.streams]

    @action()
    async def send(self, given: actions.Send) -> dict[str, Any]:
        """Sends one POST or PATCH; it is not repeated when nobody knows whether it arrived."""
        return await actions.send(self.api, given)

    @action(idempotent=True)
    async def send_once(self, given: actions.SendOnce, request_id: str) -> dict[str, Any]:
        """Sends one POST or PATCH with a key by which the system knows a repetition, and repeats it."""
        return await actions.send_once(self.api, given, request_id or uuid.uuid4().hex)

    @action(idempotent=True)
    async def put(self, given: actions.Put) -> dict[str, Any]:
        """Sends one PUT or DELETE, and repeats it where the answer is lost."""
        return await actions.put(self.api, given)

    def _stream(self, told: StreamSettings) -> Stream:
        writer = Writer(self.api, told) if told.write is not None else None
        return Stream(
            stream=told.name,
            description=told.description,
            json_schema=told.record_schema or {"type": "object"},
            primary_key=told.key,
            cursor_field=told.cursor.field if told.cursor else "",
            range_field=told.range.field if told.range else "",
            asks_for_range=told.range is not None and bool(told.range.from_param or told.range.until_param),
            read_modes=_modes(told),
            write_modes=_write_modes(told),
            guarantee=_guarantee(told),
            ordered=told.cursor.ordered if told.cursor else False,
            reader=partial(self._read, told) if told.path else None,
            partitioner=partial(_partitions, told) if told.partitions else None,
            most_side_by_side=told.partitions.at_a_time if told.partitions else 0,
            writer=writer.write if writer is not None else None,
            **_tracking(told, writer),
        )

    async def _read(
        self,
        told: StreamSettings,
        since: Any,
        state: dict[str, Any],
        partition: str = "",
        between: Between | None = None,
    ) -> AsyncIterator[Page[dict[str, Any]]]:
        path, params = _within(told, partition)
        params |= told.range.params(between) if told.range is not None else {}
        if told.cursor is not None and since is None and between is None:
            since = told.cursor.start or None
        pages = self.api.pages(
            path,
            follow=told.paging.component(told.records_path),
            since=since if told.cursor else None,
            since_param=told.cursor.param if told.cursor else "since",
            params=params,
            state=state,
            method=told.method,
            headers=told.headers,
            json=told.body or None,
            records=told.records_path,
            shape=told.shape,
            whole_for=None if told.partitions and told.partitions.into else SPECIAL,
        )
        async for body in pages:
            yield _told_apart(records_in(body, told), told, partition)


async def _partitions(told: StreamSettings) -> tuple[str, ...]:
    return told.partitions.values if told.partitions is not None else ()


def _within(told: StreamSettings, partition: str) -> tuple[str, dict[str, Any]]:
    """Path and parameters of one partition; without one, those of the first, which is how a check looks."""
    parts = told.partitions
    if parts is None:
        return told.path, dict(told.params)
    value = partition or parts.values[0]
    place = f"{{{parts.param}}}"
    if place in told.path:
        return told.path.replace(place, quote(value, safe="")), dict(told.params)
    return told.path, {**told.params, parts.param: value}


def _told_apart(page: Page[dict[str, Any]], told: StreamSettings, partition: str) -> Page[dict[str, Any]]:
    """The page with the partition's value in each record, where the settings want it there."""
    parts = told.partitions
    if parts is None or not parts.into:
        return page
    value = {parts.into: partition or parts.values[0]}
    page.records = [{**record, **value} for record in page.records]
    page.deleted = [{**record, **value} for record in page.deleted]
    return page


def _modes(told: StreamSettings) -> tuple[ReadMode, ...]:
    if not told.path:
        return ()
    modes = [ReadMode.FULL]
    if told.cursor is not None or told.paging.kind == "none":
        modes.append(ReadMode.INCREMENTAL)
    if told.paging.kind == "delta":
        modes.append(ReadMode.DELTA)
    return tuple(modes)


def _write_modes(told: StreamSettings) -> tuple[WriteMode, ...]:
    if told.write is None:
        return ()
    deletes = (WriteMode.DELETE,) if told.write.delete_path else ()
    return (WriteMode.CREATE, WriteMode.UPSERT, *deletes)


def _guarantee(told: StreamSettings) -> Guarantee | None:
    if told.write is None:
        return None
    write = told.write
    repeatable = write.method == "PUT" or write.idempotency_header or write.lookup
    return Guarantee.IDEMPOTENT if repeatable else Guarantee.AT_LEAST_ONCE


def _tracking(told: StreamSettings, writer: Writer | None) -> dict[str, Any]:
    """What the SDK needs to keep a record from being created twice."""
    write = told.write
    if write is None or writer is None:
        return {}
    # The system takes a key that it has seen as the same request, so a create may be repeated.
    repeatable = bool(write.idempotency_header)
    return {
        "lookup": writer.lookup if write.lookup is not None else None,
        "lookup_lag": write.lookup.lag_seconds if write.lookup is not None else 0.0,
        "lookup_always": write.lookup is not None and write.lookup.always,
        "on_doubt": OnDoubt.REPEAT if repeatable else write.on_doubt,
        "gives_ids": bool(write.id_field or write.update),
    }
