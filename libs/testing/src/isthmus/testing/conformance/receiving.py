"""Webhooks count only when it is certain who sent them."""

import grpc.aio
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.sdk.sandbox import Push
from isthmus.testing.conformance.subject import Subject
from isthmus.testing.conformance.verdicts import check, expect, skip


@check("webhook.valid")
async def valid(subject: Subject) -> None:
    """A webhook that the system has signed is taken, and its id is the same when it comes again."""
    for push in _pushes(subject):
        first, again = await _received(subject, push), await _received(subject, push)
        expect(first.kind == push.kind, f"{push.kind} is taken for {first.kind!r}")
        expect(first.delivery_id == again.delivery_id, f"{push.kind}: a repetition cannot be told by its id")


@check("webhook.forged")
async def forged(subject: Subject) -> None:
    """A webhook with another body, or without its signature, is refused."""
    for push in _pushes(subject):
        changed = Push(push.kind, push.body + b" ", push.headers)
        expect(await _is_refused(subject, changed), f"{push.kind} is taken with a body that was not signed")
        bare = Push(push.kind, push.body, {"content-type": "application/json"})
        expect(await _is_refused(subject, bare), f"{push.kind} is taken without a signature")


@check("webhook.stale")
async def stale(subject: Subject) -> None:
    """A webhook whose signed time is long past is refused, where the system signs one."""
    pushes = [push for push in _pushes(subject) if push.expired is not None]
    if not pushes:
        skip("the system signs no time; its host remembers what it has seen")
    for push in pushes:
        old = Push(push.kind, push.body, push.expired or {})
        expect(await _is_refused(subject, old), f"{push.kind} of long ago is taken")


def _pushes(subject: Subject) -> list[Push]:
    if not subject.spec.webhooks:
        skip("there are no webhooks")
    pushes = list(subject.controlled().pushes())
    missing = {one.kind for one in subject.spec.webhooks} - {one.kind for one in pushes}
    expect(not missing, f"the sandbox sends none of {sorted(missing)}")
    return pushes


async def _received(subject: Subject, push: Push) -> pb.ReceiveResponse:
    request = pb.ReceiveRequest(
        binding=subject.binding,
        kind=push.kind,
        method="POST",
        target="/",
        headers=[pb.Header(name=name.lower(), value=value) for name, value in push.headers.items()],
        body=push.body,
    )
    request.received_at.GetCurrentTime()
    answer: pb.ReceiveResponse = await subject.stub.Receive(request, timeout=60.0)
    return answer


async def _is_refused(subject: Subject, push: Push) -> bool:
    try:
        await _received(subject, push)
    except grpc.aio.AioRpcError:
        return True
    return False
