"""Fills requests with values that nobody would send who meant well, and tells how the service took them."""

import random
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

__all__ = ["code_of", "fill"]

_TEXTS = (
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
)
_NUMBERS = (0, 1, -1, 2, 7, 99, 2**31 - 1, -(2**31))
_LARGE = (2**63 - 1, -(2**63), 2**53, 10**15, -(10**15))
_DEEPEST = 4


def fill(message: Message, chance: random.Random, ids: Sequence[str], depth: int = 0) -> None:
    """Put something into about every second field, as hostile as its type allows.

    Args:
        message: To be filled.
        chance: Decides everything.
        ids: Of things that exist: most fields called `…_id` get one, so that a call gets beyond its look-ups.
        depth: How deep the message lies in the request.
    """
    fields: Sequence[Any] = message.DESCRIPTOR.fields
    for field in fields:
        if chance.random() < 0.4 or depth > _DEEPEST:
            continue
        for _ in range(chance.randint(1, 3) if field.is_repeated else 1):
            _put(message, field, chance, ids, depth)


async def code_of(stub: Any, method: MethodDescriptor, request: Message, seconds: float) -> grpc.StatusCode:
    """Call a method and return its status; of a stream the first answer counts."""
    try:
        answer = getattr(stub, method.name)(request, timeout=seconds)
        await (anext(aiter(answer)) if method.server_streaming else answer)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def _put(
    message: Message, field: FieldDescriptor, chance: random.Random, ids: Sequence[str], depth: int
) -> None:
    if field.message_type is not None:
        inner = getattr(message, field.name)
        part: Message = inner.add() if field.is_repeated else inner
        part.SetInParent()
        fill(part, chance, ids, depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).append(_value(field, chance, ids))
    else:
        setattr(message, field.name, _value(field, chance, ids))


def _value(field: FieldDescriptor, chance: random.Random, ids: Sequence[str]) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(ids if field.name.endswith("_id") and chance.random() < 0.6 else _TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.choice(_TEXTS).encode()
    if field.type == FieldDescriptor.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type in {FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64}:
        return chance.choice(_NUMBERS + _LARGE)
    return chance.choice(_NUMBERS)
