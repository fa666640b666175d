"""Asks other services what the mapping service has to know of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc.aio
from isthmus.kit import fault_from_rpc_error
from isthmus.mapper.privacy import DataClass
from isthmus.registry.v1 import registry_pb2, sampling_pb2
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.registry.v1.sampling_pb2_grpc import SamplingServiceStub
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.services.mapping.domain import FlowUse

_PAGE = 500
_MOST_PAGES = 20
_LONGEST_DISCOVERY = 60
_MOST_NAMED = 1000
_SAMPLE_SECONDS = 45.0
"""How long a source may take to give its first records."""


class SchedulingPeer:
    """Knows which flows use a mapping; scheduling is asked only when something may break.

    Args:
        channel: Opens the channel to scheduling, when it is first needed.
    """

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def using(self, mapping_id: str) -> list[FlowUse]:
        """Tell how the acting tenant's flows use a mapping, one entry for each way on which they do.

        Raises:
            Fault: What scheduling answered.
        """
        stub = SchedulingServiceStub(self._channel())
        found: list[FlowUse] = []
        token = ""
        for _ in range(_MOST_PAGES):
            request = pb.ListFlowsRequest(mapping_id=mapping_id, page_size=_PAGE, page_token=token)
            try:
                page = await stub.ListFlows(request)
            except grpc.RpcError as error:
                raise fault_from_rpc_error(error) from error
            for flow in page.flows:
                found += _uses(flow, mapping_id)
            token = page.next_page_token
            if not token:
                break
        return found


class RegistryPeer:
    """Asks instances what streams they have, and for a few of their records.

    Args:
        channel: Opens the channel to the registry, when it is first needed.
    """

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def streams(self, instance_id: str) -> dict[str, str]:
        """Tell the JSON Schema of each stream by name, empty where the instance tells none.

        Raises:
            Fault: What the registry answered.
        """
        stub = RegistryServiceStub(self._channel())
        found: dict[str, str] = {}
        token = ""
        for _ in range(_MOST_PAGES):
            request = registry_pb2.DiscoverInstanceRequest(
                instance_id=instance_id, page_size=_PAGE, page_token=token
            )
            try:
                page = await stub.DiscoverInstance(request, timeout=_LONGEST_DISCOVERY)
            except grpc.RpcError as error:
                raise fault_from_rpc_error(error) from error
            found |= {stream.stream: stream.json_schema for stream in page.streams}
            token = page.next_page_token
            if not token:
                break
        return found

    async def sample(
        self, instance_id: str, stream: str, limit: int, named: Sequence[str]
    ) -> tuple[list[dict[str, Any]], dict[str, DataClass]]:
        """Give the first records of a stream, and how sensitive their fields are.

        Args:
            instance_id: Of which instance.
            stream: Which stream of it.
            limit: At most so many; 0 leaves it to the registry.
            named: What a mapping reads; of secret fields only those come along.

        Raises:
            Fault: What the registry answered.
        """
        request = sampling_pb2.SampleRecordsRequest(
            instance_id=instance_id, stream=stream, limit=limit, named_fields=named[:_MOST_NAMED]
        )
        try:
            answer = await SamplingServiceStub(self._channel()).SampleRecords(
                request, timeout=_SAMPLE_SECONDS
            )
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error
        classes = {
            one.path: DataClass(one.data_class) if one.data_class in _CLASSES else DataClass.CONFIDENTIAL
            for one in answer.field_classes
        }
        return [json.loads(record) for record in answer.records], classes


_CLASSES = {int(kind) for kind in DataClass}


def _uses(flow: pb.Flow, mapping_id: str) -> Iterator[FlowUse]:
    if flow.mapping_id == mapping_id:
        yield FlowUse(
            flow_id=flow.flow_id,
            name=flow.name,
            is_active=flow.is_active and flow.direction != pb.DIRECTION_REVERSE,
            version=flow.mapping_version,
            instance_id=flow.source.instance_id,
            stream=flow.source.stream,
            key=tuple(flow.destination_key),
        )
    if flow.reverse_mapping_id == mapping_id:
        yield FlowUse(
            flow_id=flow.flow_id,
            name=flow.name,
            is_active=flow.is_active and flow.direction in {pb.DIRECTION_REVERSE, pb.DIRECTION_BOTH},
            version=flow.reverse_mapping_version,
            instance_id=flow.destination.instance_id,
            stream=flow.destination.stream,
            key=tuple(flow.reverse_key),
        )


__all__ = ["RegistryPeer", "SchedulingPeer"]
