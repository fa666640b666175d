"""Secrets stay where they are."""

import json

import grpc.aio
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.sdk.sandbox import Misbehaviour
from isthmus.testing.conformance.subject import Subject, fault_of
from isthmus.testing.conformance.verdicts import check, expect, skip

_SECRET = ("secret", "password", "private_key", "fields")
_SHORTEST = 6


@check("secret.stays")
async def stays(subject: Subject) -> None:
    """No secret of the credential shows in what the connector says, also when the system refuses it."""
    secrets = secrets_of(subject.binding.credential)
    if not secrets:
        skip("the credential has no secret")
    said = [
        str(subject.spec),
        *map(str, subject.streams.values()),
        *map(str, (await subject.check()).values()),
    ]
    said += await _failures(subject)
    shown = [text[:80] for text in said if any(secret in text for secret in secrets)]
    expect(not shown, f"a secret can be read in {len(shown)} places, first in: {shown[:1]}")


def secrets_of(credential: str) -> list[str]:
    """What of a credential must not show."""
    material = json.loads(credential or "{}")
    found = []
    for name in _SECRET:
        value = material.get(name)
        found += list(value.values()) if isinstance(value, dict) else [value or ""]
    return [text for text in found if len(text) >= _SHORTEST]


async def _failures(subject: Subject) -> list[str]:
    """What is said while the system refuses and fails."""
    sandbox = subject.controlled()
    stream, collection = subject.stocked(pb.READ_MODE_FULL)[0]
    collection.fill(1)
    said = []
    for kind in (Misbehaviour.NOT_JSON, Misbehaviour.ERROR):
        sandbox.faults.next(*[kind] * 20)
        try:
            await subject.read(stream, pb.READ_MODE_FULL)
        except grpc.aio.AioRpcError as error:
            fault = fault_of(error)
            said += [fault.message, str(dict(fault.metadata)), error.debug_error_string() or ""]
        sandbox.faults.clear()
    sandbox.valid_for = 0
    said += map(str, (await subject.check()).values())
    sandbox.valid_for = None
    return said
