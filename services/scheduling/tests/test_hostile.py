"""Whatever a caller sends, the answer is an answer."""

import random

import grpc
import pytest
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.testing.hostile import code_of, fill

SERVICE = pb.DESCRIPTOR.services_by_name["SchedulingService"]


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
async def test_no_request_makes_the_service_stumble(bench, method):
    """
    Every request, however strange, is carried out or refused with a reason.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, type="TYPE_INTERVAL", interval_minutes=5)
    execution = await bench.start(flow)
    await bench.host.acquire(execution.execution_id)
    ids = [flow.flow_id, schedule.schedule_id, execution.execution_id, "ins_files", ""]
    chance, codes = random.Random(method.name), set()
    for _ in range(60):
        request = getattr(pb, method.input_type.name)()
        fill(request, chance, ids)
        codes.add(await code_of(bench.host.stub, method, request, 5))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes
