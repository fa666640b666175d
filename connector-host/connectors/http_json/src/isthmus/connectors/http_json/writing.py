"""Writes records the way the settings describe."""

import hashlib
import re
from typing import Any
from urllib.parse import quote

import msgspec
from isthmus.connectors.http_json.settings import StreamSettings, Write
from isthmus.sdk import Api, Batch, ConfigurationFailure, Reply
from isthmus.sdk.answers import failure_of
from isthmus.sdk.records import at_path

_FIELD = re.compile(r"\{([^{}]+)\}")
_SHOWN = 500


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
        gone = {id(record) for record in batch.deletions}
        places = [place for place, record in enumerate(batch.records) if id(record) not in gone]
        if self._write.batch:
            await self._array(batch, places)
        else:
            for place in places:
                await self._one(batch, place)
        for record in batch.deletions:
            await self._delete(batch, record)

    async def _one(self, batch: Batch[dict[str, Any]], place: int) -> None:
        record = batch.records[place]
        path = _filled(self._write.path, record)
        if path is None:
            batch.reject_at(place, _unfilled(self._write.path), reason="FIELD_MISSING")
            return
        self._judge(batch, [place], await self._send(path, record))

    async def _array(self, batch: Batch[dict[str, Any]], places: list[int]) -> None:
        waiting = [places] if places else []
        while waiting:
            part = waiting.pop()
            records = [batch.records[place] for place in part]
            reply = await self._send(
                self._write.path, {self._write.wrap: records} if self._write.wrap else records
            )
            if len(part) > 1 and not self._written(reply) and reply.status in self._write.rejects:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
            else:
                self._judge(batch, part, reply)

    async def _delete(self, batch: Batch[dict[str, Any]], record: dict[str, Any]) -> None:
        place = batch.place_of(record)
        path = _filled(self._write.delete_path, record) if self._write.delete_path else None
        if path is None:
            text = "Deletions are not set up for this stream; give write.delete_path."
            batch.reject_at(place, text, reason="DELETE_UNSUPPORTED")
            return
        reply = await self._api.delete(path, accept={404, 410, *self._write.rejects})
        if reply.status in {404, 410}:
            return
        self._judge(batch, [place], reply)

    async def _send(self, path: str, body: Any) -> Reply:
        accept = {*self._write.success, *self._write.rejects}
        headers, known = {}, self._write.method == "PUT"
        if self._write.idempotency_header:
            mark = hashlib.sha256(
                path.encode() + b"\0" + msgspec.json.encode(body, order="sorted")
            ).hexdigest()
            headers, known = {self._write.idempotency_header: mark}, True
        return await self._api.request(
            self._write.method, path, json=body, headers=headers, accept=accept, idempotent=known
        )

    def _written(self, reply: Reply) -> bool:
        return reply.ok or reply.status in self._write.success

    def _judge(self, batch: Batch[dict[str, Any]], places: list[int], reply: Reply) -> None:
        if self._written(reply):
            return
        if reply.status not in self._write.rejects:
            raise failure_of(reply.status, reply.url, reply.headers, self._write.method)
        for place in places:
            words = reply.text.strip()[:_SHOWN] or "no reason given"
            batch.reject_at(place, f"The system refused the record with {reply.status}: {words}")


def _filled(template: str, record: dict[str, Any]) -> str | None:
    """The path with the record's fields, quoted; None when one is missing."""
    values = {path: at_path(record, path) for path in _FIELD.findall(template)}
    if any(value is None or value == "" or isinstance(value, dict | list) for value in values.values()):
        return None
    return _FIELD.sub(lambda match: _segment(str(values[match[1]])), template)


def _segment(text: str) -> str:
    # A record whose id is `..` must not climb to another resource.
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def _unfilled(template: str) -> str:
    return f"A field of the path {template} is missing or no plain value in this record."
