"""Writes records the way the settings describe."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from isthmus.connectors.http_json.settings import StreamSettings, Write
from isthmus.sdk import Api, Batch, ConfigurationFailure, DataFailure, Item, Reply
from isthmus.sdk.answers import failure_of
from isthmus.sdk.records import at_path

_FIELD = re.compile(r"\{([^{}]+)\}")
_SHOWN = 500
_GONE = frozenset({404, 410})
_Item = Item[dict[str, Any]]


class Writer:
    """Sends records one by one, or a batch as one array.

    An array that is refused is halved until the records to blame stand alone,
    so that one bad record does not hold up the others.
    """

    def __init__(self, api: Api, told: StreamSettings) -> None:
        if told.write is None:
            raise ConfigurationFailure(message=f"Stream {told.name} has no `write`.", path="write")
        self._api = api
        self._write: Write = told.write

    async def write(self, batch: Batch[dict[str, Any]]) -> None:
        """Writes everything of a batch, or rejects it record by record."""
        together: list[_Item] = []
        alone: list[_Item] = []
        gone: list[_Item] = []
        for item in batch.peek():
            fits = self._write.batch and not item.external_id
            (gone if item.deletes else together if fits else alone).append(item)
        await self._array(together)
        for item in alone:
            await self._one(item)
        for item in gone:
            await self._delete(item)

    async def lookup(self, item: _Item) -> list[Any]:
        """The system's own ids of a record that may have been created."""
        told = self._write.lookup
        if told is None:
            return []
        path, params = _filled(told.path, item), {}
        for name, template in told.params.items():
            params[name] = _filled(template, item, quoted=False)
        if path is None or None in params.values():
            text = "The record lacks a field of write.lookup, so it cannot be looked for"
            raise DataFailure("FIELD_MISSING", text, path="write.lookup")
        reply = await self._api.get(path, params=params, accept=_GONE)
        if reply.status in _GONE:
            return []
        found = at_path(reply.body, told.records_path) if told.records_path else reply.body
        records = found if isinstance(found, list) else [] if found is None else [found]
        return [at_path(record, told.id_field) for record in records if self._is_it(record, item)]

    def _is_it(self, record: Any, item: _Item) -> bool:
        """A system that ignores a parameter gives everything it has; where the mark can be seen it counts."""
        path = self._write.correlation_field
        mark = at_path(record, path) if path else None
        return mark is None or mark == item.correlation_id

    async def _one(self, item: _Item) -> None:
        update = self._write.update
        if item.external_id and update is not None:
            await self._send_one(item, update.method, update.path)
        elif item.was_found:
            item.wrote(item.external_id)
        elif item.external_id:
            text = "The system holds another form of this record; give write.update to change it there."
            item.reject(text, reason="UPDATE_UNSUPPORTED")
        else:
            await self._send_one(item, self._write.method, self._write.path)
            if item.in_doubt and item.external_id and update is not None:
                # A system that knows the key again answers for the first request, whatever this one holds.
                await self._send_one(item, update.method, update.path)

    async def _send_one(self, item: _Item, method: str, template: str) -> None:
        path = _filled(template, item)
        if path is None:
            item.reject(_unfilled(template), reason="FIELD_MISSING")
            return
        item.begin()
        reply = await self._send(method, path, self._body(item), item)
        if self._accepted([item], reply):
            item.wrote(item.external_id or self._id_in(reply))

    async def _array(self, items: list[_Item]) -> None:
        waiting = [items] if items else []
        while waiting:
            part = waiting.pop()
            for item in part:
                item.begin()
            records = [self._body(item) for item in part]
            body = {self._write.wrap: records} if self._write.wrap else records
            reply = await self._send(self._write.method, self._write.path, body)
            if len(part) > 1 and not self._written(reply) and reply.status in self._write.rejects:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
            elif self._accepted(part, reply):
                for item in part:
                    item.wrote()

    async def _delete(self, item: _Item) -> None:
        template = self._write.delete_path
        if "{external_id}" in template and not item.external_id:
            item.wrote()  # the flow never wrote it, so there is nothing to remove
            return
        path = _filled(template, item) if template else None
        if path is None:
            text = "Deletions are not set up for this stream; give write.delete_path."
            item.reject(text, reason="DELETE_UNSUPPORTED")
            return
        item.begin()
        reply = await self._api.delete(path, accept={*_GONE, *self._write.rejects})
        if reply.status in _GONE or self._accepted([item], reply):
            item.wrote(item.external_id)

    def _body(self, item: _Item) -> Any:
        if not self._write.correlation_field or not item.correlation_id:
            return item.record
        return _with(item.record, self._write.correlation_field.split("."), item.correlation_id)

    async def _send(self, method: str, path: str, body: Any, item: _Item | None = None) -> Reply:
        accept = {*self._write.success, *self._write.rejects}
        headers, known = {}, method == "PUT"
        if self._write.idempotency_header:
            headers, known = {self._write.idempotency_header: _mark(path, body, item)}, True
        return await self._api.request(
            method, path, json=body, headers=headers, accept=accept, idempotent=known
        )

    def _written(self, reply: Reply) -> bool:
        return reply.ok or reply.status in self._write.success

    def _id_in(self, reply: Reply) -> Any:
        """The id in an answer; an answer that cannot be read does not undo what was written."""
        try:
            found = at_path(reply.body, self._write.id_field) if self._write.id_field else None
        except DataFailure:
            return ""
        return "" if found is None or isinstance(found, dict | list) else found

    def _accepted(self, items: list[_Item], reply: Reply) -> bool:
        if self._written(reply):
            return True
        if reply.status not in self._write.rejects:
            raise failure_of(reply.status, reply.url, reply.headers, self._write.method)
        for item in items:
            words = reply.text.strip()[:_SHOWN] or "no reason given"
            item.reject(f"The system refused the record with {reply.status}: {words}")
        return False


def _mark(path: str, body: Any, item: _Item | None) -> str:
    """The key by which the system knows a repetition: one for each create, and for each content else."""
    if item is not None and item.correlation_id and not item.external_id:
        return item.correlation_id
    return hashlib.sha256(path.encode() + b"\0" + msgspec.json.encode(body, order="sorted")).hexdigest()


def _filled(template: str, item: _Item, *, quoted: bool = True) -> str | None:
    """The template with what is known of a record; None when something is missing."""
    own = {"external_id": item.external_id, "correlation_id": item.correlation_id, "key": item.key}
    values = {path: own.get(path) or at_path(item.record, path) for path in _FIELD.findall(template)}
    if any(value is None or value == "" or isinstance(value, dict | list) for value in values.values()):
        return None
    write = _segment if quoted else str
    return _FIELD.sub(lambda match: write(str(values[match[1]])), template)


def _with(record: Any, path: list[str], value: Any) -> Any:
    """A copy of a record with a value at a path."""
    inner = record if isinstance(record, Mapping) else {}
    rest = path[1:]
    return {**inner, path[0]: _with(inner.get(path[0]), rest, value) if rest else value}


def _segment(text: str) -> str:
    # A record whose id is `..` must not climb to another resource.
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def _unfilled(template: str) -> str:
    return f"A field of the path {template} is missing or no plain value in this record."
