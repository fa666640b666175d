"""Speaks the contract of samples."""

import json
from typing import Any

from isthmus.kit import current_principal
from isthmus.kit.validation import validating
from isthmus.mapper.privacy import Classes, without_secrets
from isthmus.mapper.privacy.classes import DataClass
from isthmus.registry.v1 import sampling_pb2 as pb
from isthmus.registry.v1 import sampling_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Precondition
from isthmus.services.registry.servicer.checks import target_of
from isthmus.services.registry.servicer.desk import Desk

_MOST, _USUAL = 100, 5
_MOST_BYTES = 2 << 20
_MOST_NAMED = 1000


class SamplingServicer(pb_grpc.SamplingServiceServicer):
    """Reads a few records for services that try something out on them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def SampleRecords(self, request: pb.SampleRecordsRequest, context: Any) -> pb.SampleRecordsResponse:
        """Read the first records of a stream."""
        with validating() as check:
            check.text("instance_id", request.instance_id, longest=100)
            check.text("stream", request.stream, longest=500)
            check.within("limit", request.limit, least=0, most=_MOST)
            check.count("named_fields", request.named_fields, most=_MOST_NAMED)
        async with self._desk.store.of(current_principal().tenant_id) as work:
            instance = await self._desk.instance(work, request.instance_id)
            target = await target_of(self._desk, work, instance)
        stream = await self._desk.prober.stream(target, request.stream)
        if not stream.read_modes:
            message = f"The stream `{stream.stream}` can only be written; choose one that can be read."
            raise Precondition("STREAM_NOT_READABLE", message, path="stream")
        named = tuple(request.named_fields)
        records = await self._desk.prober.sample(target, stream, request.limit or _USUAL, named)
        # A host of an earlier version does not withhold them; nor does the hub.
        declared = {one.path: DataClass(one.data_class) for one in stream.field_classes}
        _, cut = without_secrets(Classes(declared), named)
        answer, size = pb.SampleRecordsResponse(field_classes=stream.field_classes), 0
        for record in records:
            shown = record if cut is None else json.dumps(cut(json.loads(record))).encode()
            size += len(shown)
            if size > _MOST_BYTES:
                break
            answer.records.append(shown)
        return answer


__all__ = ["SamplingServicer"]
