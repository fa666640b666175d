"""The RPCs of `ScimService`."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from isthmus.identity.v1 import scim_pb2 as pb
from isthmus.identity.v1 import scim_pb2_grpc as pb_grpc
from isthmus.kit import current_principal, once
from isthmus.kit.quotas import check_room
from isthmus.kit.validation import unstorable, validating
from isthmus.resilience.faults import FixRequest
from isthmus.services.identity.domain.scim import (
    GROUPS,
    MOST_RESULTS,
    USERS,
    Document,
    ResourceType,
    Tolerance,
    View,
    parse_filter,
    parse_target,
    read,
    refusal,
    resource_types,
    schemas,
    service_provider_config,
)
from isthmus.services.identity.provisioning import (
    Change,
    Provisioning,
    names_of,
    patching,
    replacing,
    shown,
    unknown,
)
from isthmus.services.identity.store import Directory, Provisioned, Rows, Search, Store

_KINDS = {pb.SCIM_RESOURCE_TYPE_USER: USERS, pb.SCIM_RESOURCE_TYPE_GROUP: GROUPS}
_DIALECTS = {
    pb.SCIM_DIALECT_UNSPECIFIED: "strict",
    pb.SCIM_DIALECT_STRICT: "strict",
    pb.SCIM_DIALECT_ENTRA: "entra",
    pb.SCIM_DIALECT_OKTA: "okta",
}
_WRITTEN = {name: value for value, name in _DIALECTS.items()}
# gRPC carries 4 MiB in one answer.
_LARGEST_ANSWER = 3 * 1024 * 1024


class ScimServicer(pb_grpc.ScimServiceServicer):
    """Lets directories keep users and groups."""

    def __init__(self, store: Store, provisioning: Provisioning) -> None:
        self._store = store
        self._provisioning = provisioning

    async def DescribeScim(self, request: pb.DescribeScimRequest, context: Any) -> pb.DescribeScimResponse:
        """Tell what this server can do."""
        if request.topic == pb.DescribeScimRequest.TOPIC_RESOURCE_TYPES:
            found = resource_types(request.base_url)
        elif request.topic == pb.DescribeScimRequest.TOPIC_SCHEMAS:
            found = schemas(request.base_url)
        else:
            found = [service_provider_config(request.base_url)]
        if request.name:
            found = [one for one in found if str(one.get("id", "")).lower() == request.name.lower()]
            if not found:
                raise unknown("resource type or schema", request.name)
        return pb.DescribeScimResponse(documents=[json.dumps(one).encode() for one in found])

    async def GetScimResource(
        self, request: pb.GetScimResourceRequest, context: Any
    ) -> pb.GetScimResourceResponse:
        """Read a user or a group."""
        kind = _kind(request.resource_type)
        async with self._own() as rows:
            tolerance = await _tolerance(rows)
            view = _view(kind, request.view, tolerance)
            found = await _found(rows, kind, request.resource_id)
            return pb.GetScimResourceResponse(
                resource=await _resource(rows, kind, found, view, request.view.base_url)
            )

    async def QueryScimResources(
        self, request: pb.QueryScimResourcesRequest, context: Any
    ) -> pb.QueryScimResourcesResponse:
        """Search users or groups."""
        kind = _kind(request.resource_type)
        async with self._own() as rows:
            tolerance = await _tolerance(rows)
            view = _view(kind, request.view, tolerance)
            search = Search(
                item=parse_filter(request.filter, bare_words=tolerance.bare_words)
                if request.filter
                else None,
                sort_by=parse_target(request.sort_by).path if request.sort_by else None,
                is_descending=request.is_descending,
                skip=max(0, request.start_index - 1),
                limit=min(max(0, request.count), MOST_RESULTS),
            )
            total, found = await Directory(rows.conn).search(kind, search, tolerance)
            documents = await shown(rows, kind, found, view, request.view.base_url)
        resources = [_message(one, document) for one, document in zip(found, documents, strict=True)]
        if sum(len(one.document) for one in resources) > _LARGEST_ANSWER:
            message = (
                "Ask for fewer resources at once, or for groups without `members`: the answer is too large."
            )
            raise refusal("tooMany", message)
        return pb.QueryScimResourcesResponse(resources=resources, total_count=total)

    async def CreateScimResource(
        self, request: pb.CreateScimResourceRequest, context: Any
    ) -> pb.CreateScimResourceResponse:
        """Make a user or a group."""
        kind, raw, caller = _kind(request.resource_type), _json(request.document), current_principal()

        async def produce() -> pb.CreateScimResourceResponse:
            found: Provisioned[Any]
            tolerance = await _tolerance(rows)
            view = _view(kind, request.view, tolerance)
            document = read(kind, raw, tolerance)
            if kind is GROUPS:
                found = await self._provisioning.create_group(
                    rows, caller.tenant_id, document, caller.subject, tolerance
                )
            else:
                await check_room(rows.conn, "users", caller.quotas.users, "users")
                found = await self._provisioning.create_user(rows, caller.tenant_id, document, caller.subject)
            return pb.CreateScimResourceResponse(
                resource=await _resource(rows, kind, found, view, request.view.base_url)
            )

        async with self._own() as rows:
            return await once(
                rows.conn, "CreateScimResource", request, produce, pb.CreateScimResourceResponse
            )

    async def ReplaceScimResource(
        self, request: pb.ReplaceScimResourceRequest, context: Any
    ) -> pb.ReplaceScimResourceResponse:
        """Put another document in place of the present one."""
        return pb.ReplaceScimResourceResponse(resource=await self._change(request, replacing))

    async def PatchScimResource(
        self, request: pb.PatchScimResourceRequest, context: Any
    ) -> pb.PatchScimResourceResponse:
        """Change parts of a user or a group."""
        return pb.PatchScimResourceResponse(resource=await self._change(request, patching, quietly=True))

    async def DeleteScimResource(
        self, request: pb.DeleteScimResourceRequest, context: Any
    ) -> pb.DeleteScimResourceResponse:
        """Delete a user or a group."""
        kind, subject = _kind(request.resource_type), current_principal().subject
        delete = self._provisioning.delete_group if kind is GROUPS else self._provisioning.delete_user
        async with self._own() as rows:
            await delete(rows, request.resource_id, request.etag, subject)
        return pb.DeleteScimResourceResponse()

    async def GetScimDialects(
        self, request: pb.GetScimDialectsRequest, context: Any
    ) -> pb.GetScimDialectsResponse:
        """Tell what is put up with from whom."""
        async with self._own() as rows:
            rules = await Directory(rows.conn).dialects()
        return pb.GetScimDialectsResponse(
            rules=[
                pb.ScimDialectRule(service_account_id=account_id, dialect=_WRITTEN[dialect])
                for account_id, dialect in rules
            ]
        )

    async def SetScimDialect(
        self, request: pb.SetScimDialectRequest, context: Any
    ) -> pb.SetScimDialectResponse:
        """Say what is put up with."""
        with validating() as check:
            check.enum("dialect", request.dialect or pb.SCIM_DIALECT_STRICT, known=_DIALECTS)
        dialect = _DIALECTS[request.dialect]
        async with self._own() as rows:
            if request.service_account_id:
                await rows.account(request.service_account_id)
            tenant_id = current_principal().tenant_id
            await Directory(rows.conn).set_dialect(tenant_id, request.service_account_id, dialect)
        rule = pb.ScimDialectRule(service_account_id=request.service_account_id, dialect=_WRITTEN[dialect])
        return pb.SetScimDialectResponse(rule=rule)

    async def _change(
        self,
        request: pb.ReplaceScimResourceRequest | pb.PatchScimResourceRequest,
        how: Callable[[ResourceType, object, Tolerance], Change],
        *,
        quietly: bool = False,
    ) -> pb.ScimResource:
        kind, raw, by = _kind(request.resource_type), _json(request.document), current_principal().subject
        found: Provisioned[Any]
        async with self._own() as rows:
            tolerance = await _tolerance(rows)
            view = _view(kind, request.view, tolerance)
            change = how(kind, raw, tolerance)
            if kind is GROUPS:
                found = await self._provisioning.change_group(
                    rows, request.resource_id, change, etag=request.etag, by=by, tolerance=tolerance
                )
            else:
                found = await self._provisioning.change_user(
                    rows, request.resource_id, change, etag=request.etag, by=by
                )
            asked = request.view.attributes or request.view.excluded_attributes
            if quietly and not asked and (kind is GROUPS or tolerance.quiet_patches):
                return pb.ScimResource(resource_id=request.resource_id, etag=str(found.item.revision))
            return await _resource(rows, kind, found, view, request.view.base_url)

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


def _kind(value: pb.ScimResourceType.ValueType) -> ResourceType:
    with validating() as check:
        check.enum("resource_type", value, known=_KINDS)
    return _KINDS[value]


def _json(data: bytes) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise refusal("invalidSyntax", "Send one JSON object in UTF-8.")
    if trouble := unstorable(value):
        raise FixRequest(
            "SCIM_INVALID_VALUE", f"The document {trouble}.", metadata={"scim_type": "invalidValue"}
        )
    return value


def _view(kind: ResourceType, view: pb.ScimView, tolerance: Tolerance) -> View:
    return View(kind, names_of(view.attributes), names_of(view.excluded_attributes), tolerance)


async def _tolerance(rows: Rows) -> Tolerance:
    return await Directory(rows.conn).tolerance(current_principal().subject)


async def _found(rows: Rows, kind: ResourceType, id_: str) -> Provisioned[Any]:
    directory = Directory(rows.conn)
    found = await directory.group(id_) if kind is GROUPS else await directory.user(id_)
    if found is None:
        raise unknown(kind.name.lower(), id_)
    return found


async def _resource(
    rows: Rows, kind: ResourceType, found: Provisioned[Any], view: View, base_url: str
) -> pb.ScimResource:
    [document] = await shown(rows, kind, [found], view, base_url)
    message = _message(found, document)
    if len(message.document) > _LARGEST_ANSWER:
        raise refusal("tooMany", "Ask for the group without `members`: it has too many for one answer.")
    return message


def _message(found: Provisioned[Any], document: Document) -> pb.ScimResource:
    item = found.item
    return pb.ScimResource(
        resource_id=getattr(item, "group_id", "") or item.user_id,
        document=json.dumps(document).encode(),
        etag=str(item.revision),
    )


__all__ = ["ScimServicer"]
