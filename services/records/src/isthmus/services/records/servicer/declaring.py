"""Takes from writers which class the fields of their records have, and tells it to others."""

from collections.abc import Mapping, Sequence

from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.mapper.privacy import KEYWORD, DataClass, Scrubber
from isthmus.services.records.domain.classes import (
    FLOW,
    STREAM,
    classes_in,
    merged,
    packed,
    scrubber_of,
    unpacked,
)
from isthmus.services.records.domain.pairs import is_pair_stream
from isthmus.services.records.domain.reconciling import is_compare_stream
from isthmus.services.records.domain.records import Stream, Writer
from isthmus.services.records.servicer import messages
from isthmus.services.records.store.classes import ClassStore


class Declaring:
    """Keeps classes of fields by stream, and those of two-way flows and comparisons by flow.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: ClassStore) -> None:
        self._store = store

    async def opened(self, opening: connector_pb.WriteOpen, target: Writer) -> None:
        """Take what a writer says at the beginning; who says nothing leaves all as it is."""
        if opening.is_preview or not (opening.field_classes or KEYWORD in opening.json_schema):
            return
        found = {**classes_in(opening.json_schema), **messages.declared(opening.field_classes)}
        if is_pair_stream(target.stream) or is_compare_stream(target.stream):
            side = target.stream.rpartition(":")[2]
            await self._store.declare(target.tenant_id, FLOW, target.flow_id, side, packed(found))
        else:
            await self._store.declare(target.tenant_id, STREAM, target.stream, target.flow_id, packed(found))

    async def of_streams(
        self, tenant_id: str, streams: Sequence[Stream]
    ) -> dict[str, Mapping[str, DataClass]]:
        """Tell the classes of streams by name, those included that their schemas declare."""
        kept = await self._store.of(tenant_id, STREAM, [stream.name for stream in streams])
        told: dict[str, Mapping[str, DataClass]] = {}
        for stream in streams:
            texts = [kept.get(stream.name, ""), packed(classes_in(stream.json_schema))]
            found = unpacked(merged([text for text in texts if text] or [""]))
            if found:
                told[stream.name] = found.declared
        return told

    async def scrubber(self, tenant_id: str, stream: Stream) -> Scrubber:
        """Give what keeps sensitive values of one stream out of sight."""
        kept = await self._store.of(tenant_id, STREAM, [stream.name])
        texts = [kept.get(stream.name, ""), packed(classes_in(stream.json_schema))]
        return scrubber_of(merged([text for text in texts if text] or [""]))

    async def scrubbers(self, tenant_id: str, flow_ids: Sequence[str]) -> dict[str, Scrubber]:
        """Give what keeps sensitive values of flows out of sight, by the flow's id."""
        kept = await self._store.of(tenant_id, FLOW, flow_ids)
        return {flow_id: scrubber_of(text) for flow_id, text in kept.items()}


__all__ = ["Declaring"]
