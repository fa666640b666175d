"""A connector that is tried: reached by the contract alone, its system under control where there is one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc.aio
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.host.alone import serving
from isthmus.kit import fault_from_rpc_error
from isthmus.kit.channel import CHANNEL_OPTIONS
from isthmus.resilience import Fault
from isthmus.sdk.sandbox import Collection, Sandbox
from isthmus.testing.conformance.verdicts import skip
from isthmus.type.v1 import batch_pb2

__all__ = ["LIMITS", "Read", "Subject", "beside", "reaching"]

_SECONDS = 120.0
LIMITS = {"retry": {"strategy": "fixed", "attempts": 4, "first_wait_seconds": 0.01}, "rate": "10000/s"}
"""Limits of the tried instance: what is repeated is repeated soon, and a sandbox needs no sparing."""


@dataclass
class Read:
    """What a reading has given.

    Attributes:
        batches: In order.
        end: The last message.
    """

    batches: list[batch_pb2.Batch] = field(default_factory=list)
    end: pb.ReadEnd = field(default_factory=pb.ReadEnd)

    def keys(self, stream: pb.StreamSpec) -> list[str]:
        """The key of each record that is there."""
        return [key for key, operation, _ in self.records(stream) if operation != batch_pb2.OPERATION_DELETE]

    def deleted(self, stream: pb.StreamSpec) -> set[str]:
        """The keys of the records that are told to be gone."""
        return {key for key, operation, _ in self.records(stream) if operation == batch_pb2.OPERATION_DELETE}

    def records(self, stream: pb.StreamSpec) -> list[tuple[str, int, dict[str, Any]]]:
        """Key, operation and content of each record."""
        found: list[tuple[str, int, dict[str, Any]]] = []
        for one in self.batches:
            for index, raw in enumerate(one.records):
                content = json.loads(raw or b"{}")
                key = one.keys[index] if one.keys else _key_of(content, stream.primary_key)
                operation = one.operations[index] if one.operations else batch_pb2.OPERATION_UPSERT
                found.append((key, operation, content))
        return found


@dataclass
class Subject:
    """A connector with an instance.

    Attributes:
        stub: Calls it.
        binding: The instance.
        sandbox: Its system; None where nobody has control of that.
        spec: What it says it is.
        streams: What its instance offers, by name.
    """

    stub: Any
    binding: pb.Binding
    sandbox: Sandbox | None = None
    spec: pb.ConnectorSpec = field(default_factory=pb.ConnectorSpec)
    streams: dict[str, pb.StreamSpec] = field(default_factory=dict)

    def controlled(self) -> Sandbox:
        """Its system; a check that needs one is left where there is none."""
        if self.sandbox is None:
            skip("needs a sandbox of the connector's system")
        return self.sandbox

    def readable(self, *modes: int) -> list[pb.StreamSpec]:
        """Streams that can be read in one of the modes; any of them where none is named."""
        found = [one for one in self.streams.values() if set(one.read_modes) & set(modes or one.read_modes)]
        if not found:
            skip("there is no such stream to read")
        return found

    def stocked(self, *modes: int) -> list[tuple[pb.StreamSpec, Collection]]:
        """Streams whose records the sandbox holds, and that can be read in one of the modes."""
        held = self.controlled().collections
        found = [(one, held[one.stream]) for one in self.readable(*modes) if one.stream in held]
        if not found:
            skip("the sandbox holds no stream that can be read so")
        return found

    def writable(self) -> list[tuple[pb.StreamSpec, Collection]]:
        """Streams whose records the sandbox holds, and that can be written."""
        held = self.controlled().collections
        found = [(one, held[name]) for name, one in self.streams.items() if one.write_modes and name in held]
        if not found:
            skip("the sandbox holds no stream that can be written")
        return found

    async def check(self, binding: pb.Binding | None = None) -> dict[str, pb.CheckStep]:
        """The steps of a check, by name."""
        call = self.stub.Check(pb.CheckRequest(binding=binding or self.binding), timeout=_SECONDS)
        return {answer.step.step: answer.step async for answer in call}

    async def discover(self, binding: pb.Binding | None = None) -> list[pb.StreamSpec]:
        """All streams, in the order in which they are told."""
        found: list[pb.StreamSpec] = []
        token = ""
        while True:
            request = pb.DiscoverRequest(binding=binding or self.binding, page_token=token)
            answer = await self.stub.Discover(request, timeout=_SECONDS)
            found += answer.streams
            token = answer.next_page_token
            if not token:
                return found

    async def read(
        self, stream: pb.StreamSpec, mode: int, position: batch_pb2.Position | None = None, **how: Any
    ) -> Read:
        """Read all partitions of a stream to their end; a position is that of the only one."""
        done = Read()
        request = pb.ListPartitionsRequest(binding=self.binding, stream=stream.stream, page_size=1000)
        partitions = [
            "",
        ]
        if position is None:
            partitions = list((await self.stub.ListPartitions(request, timeout=_SECONDS)).partitions)
        for partition in partitions:
            wanted = pb.ReadRequest(
                binding=self.binding,
                stream=stream.stream,
                partition=partition,
                mode=pb.ReadMode.ValueType(mode),
                position=position,
                **how,
            )
            async for answer in self.stub.Read(wanted, timeout=_SECONDS):
                if answer.HasField("batch"):
                    done.batches.append(answer.batch)
                elif answer.HasField("end"):
                    done.end = answer.end
        return done

    async def write(
        self, stream: pb.StreamSpec, batches: Sequence[batch_pb2.Batch], **opening: Any
    ) -> list[pb.BatchAck]:
        """Write batches in one call, each once the one before is acknowledged."""
        call = self.stub.Write(timeout=_SECONDS)
        given = {"mode": best_write_mode(stream), "primary_key": stream.primary_key, **opening}
        given = {"flow_id": "flw_conformance", "execution_id": "exe_1", "fencing_token": 1, **given}
        await call.write(
            pb.WriteRequest(open=pb.WriteOpen(binding=self.binding, stream=stream.stream, **given))
        )
        acks = []
        answer = await call.read()
        for one in batches:
            if answer is grpc.aio.EOF:
                break
            await call.write(pb.WriteRequest(batch=one))
            answer = await call.read()
            if answer is not grpc.aio.EOF:
                acks.append(answer.ack)
        await call.done_writing()
        while answer is not grpc.aio.EOF:
            answer = await call.read()
        return acks

    def with_configuration(self, **members: Any) -> pb.Binding:
        """The binding with other settings."""
        configuration = {**json.loads(self.binding.configuration or "{}"), **members}
        other = pb.Binding()
        other.CopyFrom(self.binding)
        other.configuration = json.dumps(configuration)
        return other


def best_write_mode(stream: pb.StreamSpec) -> int:
    """The mode in which most can be written."""
    order = (pb.WRITE_MODE_UPSERT, pb.WRITE_MODE_CREATE, pb.WRITE_MODE_UPDATE, pb.WRITE_MODE_DELETE)
    return next(mode for mode in order if mode in stream.write_modes)


def fault_of(error: grpc.aio.AioRpcError) -> Fault:
    """What a refused call was refused for."""
    return fault_from_rpc_error(error)


@asynccontextmanager
async def beside(connector: Any, sandbox: Sandbox) -> AsyncIterator[Subject]:
    """Serve a connector class beside its sandbox."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(sandbox.serving())
        address = await stack.enter_async_context(serving(connector))
        material = sandbox.credential()
        binding = pb.Binding(
            configuration=json.dumps(sandbox.configuration(url)),
            credential=json.dumps(material) if material else "",
            limits=json.dumps(LIMITS),
        )
        subject = await stack.enter_async_context(reaching(address, binding))
        yield replace(subject, sandbox=sandbox)


@asynccontextmanager
async def reaching(address: str, binding: pb.Binding) -> AsyncIterator[Subject]:
    """Reach a connector that is served somewhere, in any language."""
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        subject = Subject(ConnectorServiceStub(channel), binding)
        described = await subject.stub.Describe(pb.DescribeRequest(), timeout=_SECONDS, wait_for_ready=True)
        subject.spec = described.spec
        subject.streams = {one.stream: one for one in await subject.discover()}
        yield subject


def _key_of(content: dict[str, Any], primary_key: Sequence[str]) -> str:
    values = []
    for path in primary_key:
        value: Any = content
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        values.append(value)
    return str(values[0]) if len(values) == 1 else json.dumps(values)
