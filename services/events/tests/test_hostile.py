"""Whatever a caller sends, the answer is an answer."""

import asyncio
import random

import grpc
import pytest
from isthmus.events.v1 import events_pb2 as pb
from isthmus.testing.hostile import code_of, fill

SERVICE = pb.DESCRIPTOR.services_by_name["EventsService"]


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
async def test_no_request_makes_the_service_stumble(bench, method):
    """
    Every request, however strange, is carried out or refused with a reason.
    """
    event, subscription = await bench.publish(), await bench.subscribe()
    ids = [event.event_id, subscription.subscription_id, "flw_x", ""]
    chance, requests = random.Random(method.name), []
    for _ in range(60):
        requests.append(getattr(pb, method.input_type.name)())
        fill(requests[-1], chance, ids)

    seconds = 1 if method.server_streaming else 30
    codes = set(await asyncio.gather(*(code_of(bench.stub, method, one, seconds) for one in requests)))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes
