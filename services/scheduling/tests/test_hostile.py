"""Whatever a caller sends, the answer is an answer."""

import random

import grpc
import pytest
from isthmus.scheduling.v1 import scheduling_pb2 as pb

TEXTS = [
    "",
    "x",
    "\0",
    "a\nb",
    "é" * 300,
    "x" * 70_000,
    "{}",
    "* * * * *",
    "0 0 1 1 1",
    "UTC",
    "..",
    "hub",
    "'; --",
]
NUMBERS = [0, 1, -1, 2, 7, 99, 2**31 - 1, -(2**31)]
LARGE = [2**63 - 1, -(2**63), 2**53, 10**15, -(10**15)]
SERVICE = pb.DESCRIPTOR.services_by_name["SchedulingService"]


def fill(message, chance, ids, depth=0):
    """Put something into about every second field, as hostile as its type allows."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.4 or depth > 4:
            continue
        number = chance.randint(1, 3) if field.is_repeated else 1
        for _ in range(number):
            _put(message, field, chance, ids, depth)


def _put(message, field, chance, ids, depth):
    repeated = field.is_repeated
    if field.message_type is not None:
        inner = getattr(message, field.name).add() if repeated else getattr(message, field.name)
        if not repeated:
            inner.SetInParent()
        fill(inner, chance, ids, depth + 1)
        return
    value = _value(field, chance, ids)
    if repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def _value(field, chance, ids):
    if field.type == field.TYPE_STRING:
        return chance.choice(ids if field.name.endswith("_id") and chance.random() < 0.6 else TEXTS)
    if field.type == field.TYPE_BYTES:
        return chance.choice(TEXTS).encode()
    if field.type == field.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type in {field.TYPE_INT64, field.TYPE_UINT64}:
        return chance.choice(NUMBERS + LARGE)
    return chance.choice(NUMBERS)


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
        codes.add(await code_of(bench.host.stub, method, request))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes


async def code_of(stub, method, request):
    try:
        answer = getattr(stub, method.name)(request, timeout=5)
        await (anext(aiter(answer)) if method.server_streaming else answer)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
