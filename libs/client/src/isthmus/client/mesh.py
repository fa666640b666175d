"""Typed access to every service of a mesh."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import grpc
from isthmus.client.problem import ExitCode, Problem
from isthmus.client.profile import Profile
from isthmus.credentials.v1 import authorization_pb2_grpc, credentials_pb2_grpc
from isthmus.events.v1 import events_pb2_grpc
from isthmus.gateway.v1 import gateway_pb2_grpc
from isthmus.identity.v1 import (
    access_pb2_grpc,
    devices_pb2_grpc,
    identity_pb2_grpc,
    providers_pb2_grpc,
    quotas_pb2_grpc,
    scim_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    support_pb2_grpc,
    users_pb2_grpc,
)
from isthmus.mapping.v1 import (
    functions_pb2_grpc,
    mapping_pb2_grpc,
    models_pb2_grpc,
    previews_pb2_grpc,
    schema_registry_pb2_grpc,
    schemas_pb2_grpc,
    suggestions_pb2_grpc,
    versions_pb2_grpc,
)
from isthmus.monitoring.v1 import audit_pb2_grpc, monitoring_pb2_grpc
from isthmus.records.v1 import (
    links_pb2_grpc,
    pairs_pb2_grpc,
    privacy_pb2_grpc,
    reconciliation_pb2_grpc,
    records_pb2_grpc,
    statistics_pb2_grpc,
)
from isthmus.registry.v1 import registry_pb2_grpc
from isthmus.scheduling.v1 import plans_pb2_grpc, scheduling_pb2_grpc

_DEADLINE_SECONDS = 60.0
_PATIENCE = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
}
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
    # A service with too much to do refuses calls before it begins with them, and says when to come back.
    ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": _PATIENCE}]})),
]


class _CallDetails(grpc.ClientCallDetails):
    """The caller's details with identity, correlation and a deadline."""

    def __init__(
        self, base: grpc.ClientCallDetails, metadata: Iterable[tuple[str, str | bytes]], timeout: float | None
    ):
        self.method = base.method
        self.timeout = timeout
        self.metadata = tuple(metadata)
        self.credentials = base.credentials
        self.wait_for_ready = base.wait_for_ready
        self.compression = base.compression


class _Identity(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends the caller's credential and a correlation id along with every call.

    Args:
        credential: Gives an API key or an access token; empty where there is none.
    """

    def __init__(self, credential: Callable[[], str]) -> None:
        self._credential = credential

    def _with_identity(self, details: grpc.ClientCallDetails, *, bounded: bool) -> _CallDetails:
        metadata = [*(details.metadata or ()), ("isthmus-correlation-id", uuid.uuid4().hex)]
        if credential := self._credential():
            metadata.append(("authorization", f"Bearer {credential}"))
        default = _DEADLINE_SECONDS if bounded else None
        return _CallDetails(details, metadata, details.timeout if details.timeout is not None else default)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Adds identity to a single call."""
        return continuation(self._with_identity(client_call_details, bounded=True), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Adds identity to a stream, which has no deadline of its own."""
        return continuation(self._with_identity(client_call_details, bounded=False), request)


class Mesh:
    """All services of one mesh as typed stubs; channels open when first used.

    Example:
        with Mesh(load_profile()) as mesh:
            mesh.registry.ListConnectors(ListConnectorsRequest())
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._channels: dict[str, grpc.Channel] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every channel that was opened."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _channel(self, service: str) -> grpc.Channel:
        return grpc.intercept_channel(self._bare(service), _Identity(self._credential))

    def _credential(self) -> str:
        session = self.profile.session
        return (session.access_token(self._refresh) if session else "") or self.profile.api_key

    def _refresh(self, refresh_token: str) -> tuple[str, str, int]:
        request = sessions_pb2.RefreshSessionRequest(refresh_token=refresh_token)
        answer = self.door.RefreshSession(request, timeout=_DEADLINE_SECONDS)
        return answer.access_token, answer.refresh_token, answer.expires_in

    def _bare(self, service: str) -> grpc.Channel:
        address = self.profile.addresses.get(service)
        if not address:
            raise Problem(
                "SERVICE_ADDRESS_MISSING",
                f"No address is known for {service}: set ISTHMUS_{service.upper()}_ADDRESS.",
                exit_code=ExitCode.UNREACHABLE,
            )
        if address not in self._channels:
            self._channels[address] = _open(address)
        return self._channels[address]

    @cached_property
    def registry(self) -> registry_pb2_grpc.RegistryServiceStub:
        """Connectors, instances and hosts."""
        return registry_pb2_grpc.RegistryServiceStub(self._channel("registry"))

    @cached_property
    def credentials(self) -> credentials_pb2_grpc.CredentialsServiceStub:
        """Authentication configurations."""
        return credentials_pb2_grpc.CredentialsServiceStub(self._channel("credentials"))

    @cached_property
    def authorizations(self) -> authorization_pb2_grpc.AuthorizationServiceStub:
        """Authorizations by persons."""
        return authorization_pb2_grpc.AuthorizationServiceStub(self._channel("credentials"))

    @cached_property
    def identity(self) -> identity_pb2_grpc.IdentityServiceStub:
        """Tenants, service accounts and API keys."""
        return identity_pb2_grpc.IdentityServiceStub(self._channel("identity"))

    @cached_property
    def users(self) -> users_pb2_grpc.UsersServiceStub:
        """People."""
        return users_pb2_grpc.UsersServiceStub(self._channel("identity"))

    @cached_property
    def scim(self) -> scim_pb2_grpc.ScimServiceStub:
        """What directories provision."""
        return scim_pb2_grpc.ScimServiceStub(self._channel("identity"))

    @cached_property
    def access(self) -> access_pb2_grpc.AccessServiceStub:
        """Groups and roles."""
        return access_pb2_grpc.AccessServiceStub(self._channel("identity"))

    @cached_property
    def providers(self) -> providers_pb2_grpc.ProvidersServiceStub:
        """Identity providers."""
        return providers_pb2_grpc.ProvidersServiceStub(self._channel("identity"))

    @cached_property
    def quotas(self) -> quotas_pb2_grpc.QuotasServiceStub:
        """What tenants may have and do at most."""
        return quotas_pb2_grpc.QuotasServiceStub(self._channel("identity"))

    @cached_property
    def sessions(self) -> sessions_pb2_grpc.SessionsServiceStub:
        """Sessions of people."""
        return sessions_pb2_grpc.SessionsServiceStub(self._channel("identity"))

    @cached_property
    def support(self) -> support_pb2_grpc.SupportServiceStub:
        """Access for a while."""
        return support_pb2_grpc.SupportServiceStub(self._channel("identity"))

    @cached_property
    def door(self) -> sessions_pb2_grpc.SessionsServiceStub:
        """The same for who has no credential yet."""
        return sessions_pb2_grpc.SessionsServiceStub(self._bare("identity"))

    @cached_property
    def devices(self) -> devices_pb2_grpc.DeviceLoginServiceStub:
        """Logins on machines without a browser."""
        return devices_pb2_grpc.DeviceLoginServiceStub(self._channel("identity"))

    @cached_property
    def device_door(self) -> devices_pb2_grpc.DeviceLoginServiceStub:
        """The same for who has no credential yet."""
        return devices_pb2_grpc.DeviceLoginServiceStub(self._bare("identity"))

    @cached_property
    def provider_door(self) -> providers_pb2_grpc.ProvidersServiceStub:
        """Identity providers, for who has no credential yet."""
        return providers_pb2_grpc.ProvidersServiceStub(self._bare("identity"))

    @cached_property
    def mapping(self) -> mapping_pb2_grpc.MappingServiceStub:
        """Mappings and their versions."""
        return mapping_pb2_grpc.MappingServiceStub(self._channel("mapping"))

    @cached_property
    def mapping_versions(self) -> versions_pb2_grpc.MappingVersionsServiceStub:
        """How versions of mappings come into use."""
        return versions_pb2_grpc.MappingVersionsServiceStub(self._channel("mapping"))

    @cached_property
    def models(self) -> models_pb2_grpc.ModelServiceStub:
        """Canonical models."""
        return models_pb2_grpc.ModelServiceStub(self._channel("mapping"))

    @cached_property
    def mapping_functions(self) -> functions_pb2_grpc.MappingFunctionsServiceStub:
        """What steps and expressions may call."""
        return functions_pb2_grpc.MappingFunctionsServiceStub(self._channel("mapping"))

    @cached_property
    def mapping_previews(self) -> previews_pb2_grpc.MappingPreviewsServiceStub:
        """What mappings make of real records."""
        return previews_pb2_grpc.MappingPreviewsServiceStub(self._channel("mapping"))

    @cached_property
    def mapping_suggestions(self) -> suggestions_pb2_grpc.MappingSuggestionsServiceStub:
        """What mappings are made of, and proposals of new ones."""
        return suggestions_pb2_grpc.MappingSuggestionsServiceStub(self._channel("mapping"))

    @cached_property
    def schemas(self) -> schemas_pb2_grpc.SchemaServiceStub:
        """What records look like, and how that has changed."""
        return schemas_pb2_grpc.SchemaServiceStub(self._channel("mapping"))

    @cached_property
    def registered(self) -> schema_registry_pb2_grpc.SchemaRegistryServiceStub:
        """Schemas by name and version."""
        return schema_registry_pb2_grpc.SchemaRegistryServiceStub(self._channel("mapping"))

    @cached_property
    def scheduling(self) -> scheduling_pb2_grpc.SchedulingServiceStub:
        """Flows, schedules and executions."""
        return scheduling_pb2_grpc.SchedulingServiceStub(self._channel("scheduling"))

    @cached_property
    def plans(self) -> plans_pb2_grpc.PlansServiceStub:
        """Plans and their runs."""
        return plans_pb2_grpc.PlansServiceStub(self._channel("scheduling"))

    @cached_property
    def records(self) -> records_pb2_grpc.RecordsServiceStub:
        """The hub and its quarantine."""
        return records_pb2_grpc.RecordsServiceStub(self._channel("records"))

    @cached_property
    def links(self) -> links_pb2_grpc.LinksServiceStub:
        """Ids of records in destinations without transactions."""
        return links_pb2_grpc.LinksServiceStub(self._channel("records"))

    @cached_property
    def pairs(self) -> pairs_pb2_grpc.PairsServiceStub:
        """Pairs of two-way flows, and their conflicts."""
        return pairs_pb2_grpc.PairsServiceStub(self._channel("records"))

    @cached_property
    def privacy(self) -> privacy_pb2_grpc.PrivacyServiceStub:
        """How long data is kept, and one person's data."""
        return privacy_pb2_grpc.PrivacyServiceStub(self._channel("records"))

    @cached_property
    def reconciliations(self) -> reconciliation_pb2_grpc.ReconciliationServiceStub:
        """Reports of reconciliations."""
        return reconciliation_pb2_grpc.ReconciliationServiceStub(self._channel("records"))

    @cached_property
    def statistics(self) -> statistics_pb2_grpc.StatisticsServiceStub:
        """What the values of the hub's streams are like."""
        return statistics_pb2_grpc.StatisticsServiceStub(self._channel("records"))

    @cached_property
    def events(self) -> events_pb2_grpc.EventsServiceStub:
        """Events and subscriptions."""
        return events_pb2_grpc.EventsServiceStub(self._channel("events"))

    @cached_property
    def monitoring(self) -> monitoring_pb2_grpc.MonitoringServiceStub:
        """Logs, counters and health."""
        return monitoring_pb2_grpc.MonitoringServiceStub(self._channel("monitoring"))

    @cached_property
    def audit(self) -> audit_pb2_grpc.AuditServiceStub:
        """Who changed what, and who saw which secret."""
        return audit_pb2_grpc.AuditServiceStub(self._channel("monitoring"))

    @cached_property
    def gateway(self) -> gateway_pb2_grpc.GatewayServiceStub:
        """Health of the mesh itself."""
        return gateway_pb2_grpc.GatewayServiceStub(self._channel("gateway"))


def pages(call: Callable[[Any], Any], request: Any, items: str, limit: int = 0) -> Iterator[Any]:
    """Walks a paged list to its end, or to `limit` items when that is not 0.

    Args:
        call: a `List…` method of a stub.
        request: its request; `page_size` and `page_token` are set here.
        items: the name of the repeated field in the answer.
        limit: the most items to give; 0 means all.
    """
    request.page_size = min(limit or 1000, 1000)
    given = 0
    while True:
        answer = call(request)
        for item in getattr(answer, items):
            yield item
            given += 1
            if limit and given >= limit:
                return
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def _open(address: str) -> grpc.Channel:
    if _is_local(address):
        return grpc.insecure_channel(address, options=_OPTIONS)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=_OPTIONS)


def _is_local(address: str) -> bool:
    """Plain text is spoken on this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith("unix:") or host in {"127.0.0.1", "localhost", "::1"}
