"""Every RPC of the contract as a value, found in the descriptors, with requests made up for it.

What is tried over `all_rpcs()` is tried over RPCs that do not exist yet, too.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc.aio
import isthmus
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from isthmus.kit.certificates import Certificates
from isthmus.kit.channel import CHANNEL_OPTIONS
from isthmus.kit.conversation import Conversation
from isthmus.kit.errors import fault_from_rpc_error
from isthmus.testing.contract_texts import GOOD_TEXTS
from isthmus.type.v1 import permission_pb2

__all__ = ["GOOD_TEXTS", "Callers", "Filler", "Outcome", "Rpc", "all_rpcs", "id_fields", "texts_of"]

Metadata = Sequence[tuple[str, str]]
Sent = Message | bytes
"""A request, or what arrives in the place of one."""
_LONG_ENOUGH = 1.0
_COME_BACK = frozenset({"SERVICE_OVERLOADED", "TENANT_BUSY"})
_MOST_CALLS = 100
_PAUSE = 0.2
_ID_FIELD = re.compile(r".*_ids?|tenant|key|stream|subject")


@dataclass(frozen=True)
class Rpc:
    """One method of the contract.

    Attributes:
        service: Full name of its service.
        name: Its name in there.
        permission: What its caller must be allowed to do.
        method: Its descriptor.
    """

    service: str
    name: str
    permission: str
    method: MethodDescriptor = field(repr=False, compare=False)

    @property
    def path(self) -> str:
        """How gRPC names it."""
        return f"/{self.service}/{self.name}"

    @property
    def package(self) -> str:
        """The part of the contract it belongs to, `registry` for example."""
        return self.service.split(".")[1]

    @property
    def only_reads(self) -> bool:
        """Whether its name promises to change nothing."""
        reading = ("Get", "List", "Query", "Count", "DeriveInverse", "Diff", "Describe", "Validate")
        return self.name.startswith(reading)


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes:
        code: The status.
        reason: The machine-readable reason of a refusal.
        message: What a refusal says, with its metadata.
        answers: The messages that came.
    """

    code: grpc.StatusCode
    reason: str = ""
    message: str = ""
    answers: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """Everything that the caller got to see."""
        return "\n".join([self.code.name, self.reason, self.message, *map(str, self.answers)])


def all_rpcs() -> list[Rpc]:
    """Import the whole contract and return its RPCs in order of their paths."""
    pool = descriptor_pool.Default()
    found: list[Rpc] = []
    for module in _modules():
        for service in import_module(module).DESCRIPTOR.services_by_name.values():
            for method in pool.FindServiceByName(service.full_name).methods:
                permission = method.GetOptions().Extensions[permission_pb2.permission]
                found.append(Rpc(service.full_name, method.name, permission, method))
    return sorted(found, key=lambda rpc: rpc.path)


def _modules() -> Iterator[str]:
    for root in isthmus.__path__:
        for file in Path(root).glob("*/v*/*_pb2.py"):
            yield ".".join(["isthmus", *file.relative_to(root).with_suffix("").parts])


def id_fields(rpc: Rpc) -> set[str]:
    """Name the fields of a request, also inside its parts, that name something."""
    return {name for name in _names(rpc.method.input_type, ()) if _ID_FIELD.fullmatch(name)}


def _names(message: Descriptor, above: tuple[str, ...]) -> Iterator[str]:
    if message.full_name in above:
        return
    for inner in message.fields:
        if inner.type == FieldDescriptor.TYPE_STRING:
            yield inner.name
        elif inner.message_type is not None:
            yield from _names(inner.message_type, (*above, message.full_name))


def texts_of(message: Message) -> Iterator[tuple[str, str]]:
    """Give name and value of every text in a message and its parts."""
    for inner, value in message.ListFields():
        values = value if inner.is_repeated else [value]
        if inner.type == FieldDescriptor.TYPE_STRING:
            yield from ((inner.name, one) for one in values)
        elif inner.message_type is not None and not inner.message_type.GetOptions().map_entry:
            for one in values:
                yield from texts_of(one)


async def _converse(call: Conversation, requests: Sequence[Sent]) -> AsyncIterator[Message]:
    """Send the first message of a stream, and each other one when the one before is answered."""
    for request in requests[:-1]:
        await _send(call, request)
        answer = await call.read()
        if answer is grpc.aio.EOF:
            return
        yield answer
    for request in requests[-1:]:
        await _send(call, request)
    await call.done_writing()
    async for answer in call:
        yield answer


async def _send(call: Conversation, request: Sent) -> None:
    """Send what can still be sent: a stream that was refused meanwhile tells why when it is read."""
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(request)


# A step runs a flow or calls an action; one that does both is refused.
_ALTERNATIVES = frozenset(
    {
        "PlanStep.action",
        "PlanStep.compensation_action",
        "SecretMaterial.oauth",
        "SecretMaterial.client_certificate",
    }
)


class Filler:
    """Makes requests whose fields carry values by their names.

    Args:
        values: Value by field name; where one name means several things, by `Message.field` or by
            `part.field` with the name of the field that the part is in. Numbers are written as text.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def requests(self, rpc: Rpc) -> list[Message]:
        """Return what to send: one message, or one for each kind that a request stream has."""
        if not rpc.method.client_streaming:
            return [self._message(rpc.method.input_type)]
        kinds = [member for group in rpc.method.input_type.oneofs for member in group.fields]
        return [self._message(rpc.method.input_type, kind) for kind in kinds]

    def _message(
        self, descriptor: Descriptor, chosen: FieldDescriptor | None = None, part: str = ""
    ) -> Message:
        message = message_factory.GetMessageClass(descriptor)()
        for inner in descriptor.fields:
            value = self._value(inner, part) if chosen is None or inner.name == chosen.name else None
            if value is None:
                continue
            if inner.is_repeated:
                getattr(message, inner.name).append(value)
            elif isinstance(value, Message):
                getattr(message, inner.name).CopyFrom(value)
            else:
                setattr(message, inner.name, value)
        return message

    def _value(self, inner: FieldDescriptor, part: str) -> Any:
        within = inner.full_name.split(".")[-2]
        names = (f"{part}.{inner.name}", f"{within}.{inner.name}", inner.name)
        text = next((self._values[name] for name in names if name in self._values), "")
        if inner.message_type is not None:
            if f"{within}.{inner.name}" in _ALTERNATIVES or inner.message_type.GetOptions().map_entry:
                return None
            is_ours = inner.message_type.full_name.startswith("isthmus.")
            return self._message(inner.message_type, part=inner.name) if is_ours else None
        if inner.type == FieldDescriptor.TYPE_STRING:
            return text or None
        if inner.type == FieldDescriptor.TYPE_BYTES:
            return text.encode()
        if inner.enum_type is not None and not inner.is_repeated:
            return int(text) if text.isdigit() else inner.enum_type.values[1].number
        return int(text) if text.isdigit() else None


def _serialized(request: Sent) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


class Callers:
    """Calls RPCs at given addresses; channels stay open until `close`.

    Args:
        address: Gives the address that serves an RPC.
        certificates: What to call with as a process of the mesh; None calls in plain text.
        subject: With certificates, gives the process that serves an RPC.
    """

    def __init__(
        self,
        address: Callable[[Rpc], str],
        certificates: Certificates | None = None,
        subject: Callable[[Rpc], str] = lambda rpc: f"service:{rpc.package}",
    ) -> None:
        self._address = address
        self._certificates = certificates
        self._subject = subject
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def call(
        self, rpc: Rpc, requests: Sequence[Sent], metadata: Metadata = (), *, seconds: float = 10.0
    ) -> Outcome:
        """Call an RPC and gather all that it answers; a stream without end counts as OK after a second.

        A call that is refused because too much is going on is repeated.
        """
        for _ in range(_MOST_CALLS):
            done = await self._call(rpc, requests, metadata, seconds)
            if done.reason not in _COME_BACK:
                break
            await asyncio.sleep(_PAUSE)
        return done

    async def _call(self, rpc: Rpc, requests: Sequence[Sent], metadata: Metadata, seconds: float) -> Outcome:
        answers: list[Message] = []
        try:
            async with (
                asyncio.timeout(_LONG_ENOUGH if rpc.method.server_streaming else None),
                aclosing(self._answers(rpc, requests, metadata, seconds)) as arriving,
            ):
                async for answer in arriving:
                    answers.append(answer)
        except TimeoutError:
            return Outcome(grpc.StatusCode.OK, answers=tuple(answers))
        except grpc.aio.AioRpcError as error:
            fault = fault_from_rpc_error(error)
            message = f"{fault.message} {dict(fault.metadata)} {getattr(fault, 'violations', '')}"
            return Outcome(error.code(), fault.reason, message, tuple(answers))
        return Outcome(grpc.StatusCode.OK, answers=tuple(answers))

    async def _answers(
        self, rpc: Rpc, requests: Sequence[Sent], metadata: Metadata, seconds: float
    ) -> AsyncGenerator[Message, None]:
        shape = ("stream" if rpc.method.client_streaming else "unary") + (
            "_stream" if rpc.method.server_streaming else "_unary"
        )
        response = message_factory.GetMessageClass(rpc.method.output_type)
        channel = self._channel(self._address(rpc), self._subject(rpc))
        invoke = getattr(channel, shape)(rpc.path, _serialized, response.FromString)
        talks = rpc.method.client_streaming and rpc.method.server_streaming
        sent = () if talks else (requests if rpc.method.client_streaming else requests[0],)
        call = invoke(*sent, metadata=tuple(metadata), timeout=seconds)
        try:
            if not rpc.method.server_streaming:
                yield await call
                return
            streams = rpc.method.client_streaming
            async for answer in _converse(Conversation(call), requests) if streams else call:
                yield answer
        finally:
            call.cancel()

    def _channel(self, address: str, subject: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = self._open(address, subject)
        return self._channels[address]

    def _open(self, address: str, subject: str) -> grpc.aio.Channel:
        if self._certificates is None:
            return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        options = CHANNEL_OPTIONS + self._certificates.channel_options(subject)
        credentials = self._certificates.channel_credentials()
        return grpc.aio.secure_channel(address, credentials, options=options)

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()
