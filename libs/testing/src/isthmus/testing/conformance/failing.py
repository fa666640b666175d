"""What happens while the system misbehaves."""

import asyncio

import grpc.aio
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.sdk.sandbox import Misbehaviour
from isthmus.testing.conformance.subject import Read, Subject, fault_of
from isthmus.testing.conformance.verdicts import check, expect
from isthmus.testing.waiting import eventually

_FULL = pb.READ_MODE_FULL
_LASTING = {Misbehaviour.HALF_DONE, Misbehaviour.NOT_JSON}
_PASSING = [kind for kind in Misbehaviour if kind not in _LASTING]


@check("fail.passing")
async def passing(subject: Subject) -> None:
    """A reading survives whatever passes: 429 in both forms, 500, 503, cut and missing answers."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(_FULL)[0]
    collection.fill(2 * sandbox.page_size + 1)
    for kind in _PASSING:
        sandbox.faults.next(kind)
        keys = await _keys(subject, stream, f"after {kind.value}")
        expect(sandbox.faults.waiting == 0, f"no request came that could have met {kind.value}")
        expect(sorted(keys) == sorted(collection.keys), f"{kind.value} loses or doubles records")


@check("fail.not-json")
async def not_json(subject: Subject) -> None:
    """An error page in the place of an answer is no end of the records: it is repeated, or told."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(_FULL)[0]
    collection.fill(2)
    sandbox.faults.next(Misbehaviour.NOT_JSON)
    try:
        keys = (await subject.read(stream, _FULL)).keys(stream)
        expect(sorted(keys) == sorted(collection.keys), "an error page was taken for the end")
    except grpc.aio.AioRpcError as error:
        expect(fault_of(error).reason.isupper(), "the failure has no reason")


@check("fail.for-good")
async def for_good(subject: Subject) -> None:
    """A system that keeps failing ends the reading with a reason and a sentence, not with silence."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(_FULL)[0]
    collection.fill(1)
    sandbox.faults.next(*[Misbehaviour.ERROR] * 50)
    try:
        await subject.read(stream, _FULL)
    except grpc.aio.AioRpcError as error:
        fault = fault_of(error)
        expect(fault.reason.isupper() and fault.message, f"the failure says nothing: {fault!r}")
    else:
        expect(False, "a system that answers 500 only was read to the end")
    finally:
        sandbox.faults.clear()


@check("fail.revoked")
async def revoked(subject: Subject) -> None:
    """A credential that ends in the middle of a reading ends it with a failure of authentication."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(_FULL)[0]
    collection.fill(3 * sandbox.page_size)
    call = subject.stub.Read(pb.ReadRequest(binding=subject.binding, stream=stream.stream, mode=_FULL))
    given = Read()
    sandbox.valid_for = 1
    try:
        while (answer := await call.read()) is not grpc.aio.EOF:
            if answer.HasField("batch"):
                given.batches.append(answer.batch)
        lost = collection.keys - set(given.keys(stream))
        expect(not lost, f"{stream.stream} ends as if it were complete, without {len(lost)} records")
    except grpc.aio.AioRpcError as error:
        kind = fault_of(error)
        expect(
            "AUTH" in kind.reason or "CREDENTIAL" in kind.reason,
            f"it ends with {kind.reason}: {kind.message}",
        )
    finally:
        sandbox.valid_for = None


@check("fail.cancelled")
async def cancelled(subject: Subject) -> None:
    """A reading that nobody waits for lets go of the system."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(_FULL)[0]
    collection.fill(1)
    sandbox.hold()
    call = subject.stub.Read(pb.ReadRequest(binding=subject.binding, stream=stream.stream, mode=_FULL))
    reading = asyncio.ensure_future(call.read())
    try:
        await eventually(lambda: sandbox.waiting, "a request of the reading")
        call.cancel()
        await eventually(lambda: not sandbox.waiting, "the end of the request")
    finally:
        sandbox.release()
        await asyncio.gather(reading, return_exceptions=True)


async def _keys(subject: Subject, stream: pb.StreamSpec, when: str) -> list[str]:
    try:
        return (await subject.read(stream, _FULL)).keys(stream)
    except grpc.aio.AioRpcError as error:
        fault = fault_of(error)
        expect(False, f"{when} the reading ends with {fault.reason}: {fault.message}")
        raise
