"""Finds a person in what other services keep, and in what the hub itself keeps beside records."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import grpc
from isthmus.credentials.v1 import credentials_pb2
from isthmus.credentials.v1.credentials_pb2_grpc import CredentialsServiceStub
from isthmus.events.v1 import events_pb2
from isthmus.events.v1.events_pb2_grpc import EventsServiceStub
from isthmus.identity.v1 import identity_pb2
from isthmus.identity.v1.identity_pb2_grpc import IdentityServiceStub
from isthmus.kit import Database, fault_from_rpc_error
from isthmus.kit.redacting import ANSWERS, SENT, Redactor, TextPlace, Typed
from isthmus.mapping.v1 import mapping_pb2
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.monitoring.v1 import monitoring_pb2
from isthmus.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from isthmus.registry.v1 import registry_pb2
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.scheduling.v1 import scheduling_pb2
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.type.v1 import privacy_pb2

_SECONDS = 30.0
_OWN = (
    TextPlace(
        "executions",
        "reconciliations",
        (Typed("report_id"),),
        (Typed("samples", "json"), Typed("error_message")),
    ),
    ANSWERS,
    SENT,
)
_PEERS: tuple[tuple[str, Any, Any], ...] = (
    ("monitoring", MonitoringServiceStub, monitoring_pb2.RedactTextsRequest),
    ("scheduling", SchedulingServiceStub, scheduling_pb2.RedactTextsRequest),
    ("events", EventsServiceStub, events_pb2.RedactTextsRequest),
    ("mapping", MappingServiceStub, mapping_pb2.RedactTextsRequest),
    ("registry", RegistryServiceStub, registry_pb2.RedactTextsRequest),
    ("credentials", CredentialsServiceStub, credentials_pb2.RedactTextsRequest),
    ("identity", IdentityServiceStub, identity_pb2.RedactTextsRequest),
)


class Met(NamedTuple):
    """Where something was found, and what is there."""

    kind: str
    line: str


class Elsewhere:
    """Looks through texts that quote a person.

    Args:
        database: Where the hub keeps its own.
        peer: Gives the way to another service by its name.
    """

    def __init__(self, database: Database, peer: Callable[[str], grpc.aio.Channel]) -> None:
        self._own = Redactor(database, _OWN)
        self._peer = peer

    async def texts(
        self, tenant_id: str, subject: str, *, is_dry_run: bool
    ) -> AsyncIterator[tuple[list[Met], int]]:
        """Find texts page by page, and unless told otherwise put a placeholder in place of the person.

        Yields:
            What was found, as it was, and how many rows were looked at.
        """
        async for page in self._logs(subject, is_dry_run=is_dry_run):
            yield page
        token = ""
        while True:
            found = await self._own.redact(tenant_id, subject, token, is_dry_run=is_dry_run)
            yield _met(found.texts), found.seen
            token = found.token
            if not token:
                break
        for name, stub, request in _PEERS:
            call = stub(self._peer(name)).RedactTexts
            async for page in _of_peer(call, request, subject, is_dry_run=is_dry_run):
                yield page

    async def _logs(self, subject: str, *, is_dry_run: bool) -> AsyncIterator[tuple[list[Met], int]]:
        stub, token = MonitoringServiceStub(self._peer("monitoring")), ""
        while True:
            request = monitoring_pb2.RedactLogsRequest(text=subject, is_dry_run=is_dry_run, page_token=token)
            try:
                answer = await stub.RedactLogs(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                raise fault_from_rpc_error(error) from error
            yield [Met("logs", _log_line(log)) for log in answer.logs], answer.looked_at
            token = answer.next_page_token
            if not token:
                return


async def _of_peer(
    call: Any, request: Any, subject: str, *, is_dry_run: bool
) -> AsyncIterator[tuple[list[Met], int]]:
    token = ""
    while True:
        asked = request(text=subject, is_dry_run=is_dry_run, page_token=token)
        try:
            answer = await call(asked, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error
        yield _met(answer.texts), answer.looked_at
        token = answer.next_page_token
        if not token:
            return


def _met(texts: Sequence[privacy_pb2.KeptText]) -> list[Met]:
    return [Met(one.place, one.line) for one in texts]


def _log_line(log: monitoring_pb2.IntegrationLog) -> str:
    told = {"place": "logs", "time": log.time.ToDatetime().isoformat()}
    return json.dumps({**told, "message": log.message, "details": log.details}, ensure_ascii=False)


__all__ = ["Elsewhere", "Met"]
