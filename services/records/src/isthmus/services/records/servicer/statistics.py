"""Speaks `StatisticsService`."""

import asyncio
from collections.abc import Sequence
from typing import cast

from isthmus.kit import current_principal
from isthmus.kit.validation import validating
from isthmus.mapper.privacy import Scrubber
from isthmus.records.v1 import statistics_pb2 as pb
from isthmus.records.v1 import statistics_pb2_grpc as pb_grpc
from isthmus.services.records.domain.classes import as_json
from isthmus.services.records.domain.statistics import FieldStatistics, statistics_of
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.store.sampling import Sampler
from isthmus.type.v1 import privacy_pb2

_SAMPLE = 1000
_MOST = 5000


class StatisticsServicer(pb_grpc.StatisticsServiceServicer):
    """Tells what the values of streams are like; looking at them happens off the event loop.

    Args:
        sampler: Reads samples.
        declaring: Knows the classes of fields.
    """

    def __init__(self, sampler: Sampler, declaring: Declaring) -> None:
        self._sampler = sampler
        self._declaring = declaring

    async def GetStreamStatistics(
        self, request: pb.GetStreamStatisticsRequest, context: object
    ) -> pb.GetStreamStatisticsResponse:
        """Look at a sample of a stream."""
        with validating() as check:
            check.text("stream", request.stream, longest=1000)
            check.within("sample_size", request.sample_size, least=0, most=_MOST)
        tenant = current_principal().tenant_id
        stream, found = await self._sampler.sample(tenant, request.stream, request.sample_size or _SAMPLE)
        scrubber = await self._declaring.scrubber(tenant, stream)
        fields = await asyncio.to_thread(_statistics, found, scrubber)
        return pb.GetStreamStatisticsResponse(
            records=stream.records, sampled=len(found), fields=map(_message, fields)
        )


def _statistics(found: Sequence[str], scrubber: Scrubber) -> list[FieldStatistics]:
    return statistics_of(map(as_json, found), scrubber)


def _message(told: FieldStatistics) -> pb.FieldStatistics:
    shortest, longest = told.lengths or (0, 0)
    return pb.FieldStatistics(
        path=told.path,
        types=told.types,
        data_class=cast("privacy_pb2.DataClass.ValueType", int(told.data_class)),
        places=told.places,
        missing=told.missing,
        nulls=told.nulls,
        distinct=told.distinct,
        is_distinct_more=told.is_distinct_more,
        least=told.least,
        greatest=told.greatest,
        shortest=shortest,
        longest=longest,
        examples=[pb.SeenValue(value=value, count=count) for value, count in told.examples],
    )


__all__ = ["StatisticsServicer"]
