"""Whatever a caller sends, the answer is an answer."""

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
    chance, codes = random.Random(method.name), set()
    for _ in range(60):
        request = getattr(pb, method.input_type.name)()
        fill(request, chance, ids)
        codes.add(await code_of(bench.stub, method, request, 1 if method.server_streaming else 5))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes
