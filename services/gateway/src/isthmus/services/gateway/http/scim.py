"""SCIM 2.0 over HTTP (RFC 7644): translates into the RPCs of `ScimService`, and decides nothing."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc.aio
from isthmus.identity.v1 import scim_pb2 as pb
from isthmus.identity.v1 import scim_pb2_grpc as pb_grpc
from isthmus.kit.logs import logger
from isthmus.resilience.faults import AlreadyExists, Fault, FixRequest, Missing
from isthmus.services.gateway.http.calling import Courier, answered
from isthmus.services.gateway.http.limits import parse_json
from isthmus.services.gateway.http.problem import headers_of, status_of
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

_log = logger(__name__)

PREFIX = "/scim/v2"
_MEDIA_TYPE = "application/scim+json"
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_PAGE = 100
_MOST = 2**31 - 1
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_TYPES = {"Users": pb.SCIM_RESOURCE_TYPE_USER, "Groups": pb.SCIM_RESOURCE_TYPE_GROUP}
_TOPICS = {
    # Entra's reference client asks for the configuration by the second name.
    "ServiceProviderConfig": pb.DescribeScimRequest.TOPIC_SERVICE_PROVIDER_CONFIG,
    "serviceConfiguration": pb.DescribeScimRequest.TOPIC_SERVICE_PROVIDER_CONFIG,
    "ResourceTypes": pb.DescribeScimRequest.TOPIC_RESOURCE_TYPES,
    "Schemas": pb.DescribeScimRequest.TOPIC_SCHEMAS,
}
_LEFT_OUT = {"Bulk": ["POST"], "Me": ["GET", "POST", "PUT", "PATCH", "DELETE"], ".search": ["POST"]}

Answer = Callable[[Request], Awaitable[Response]]


def routes(identity: grpc.aio.Channel, courier: Courier, public_url: str = "") -> list[Mount]:
    """Give everything under `/scim/v2`.

    Args:
        identity: Channel to the identity service.
        courier: Prepares calls on behalf of requests.
        public_url: How clients reach this gateway; empty means as they have addressed it.
    """
    face = _Face(pb_grpc.ScimServiceStub(identity), courier, public_url)
    offered: list[Route] = []
    for name in _TOPICS:
        offered += _both(name, face.describe, ["GET"])
        offered.append(Route(f"/{name}/{{name}}", face.describe, methods=["GET"]))
    for name in _TYPES:
        offered += _both(name, face.search, ["GET"], {"POST": face.create})
        offered.append(Route(f"/{name}/.search", face.search, methods=["POST"]))
        each = {"GET": face.get, "PUT": face.replace, "PATCH": face.patch, "DELETE": face.delete}
        offered.append(Route(f"/{name}/{{id}}", _by_method(each), methods=list(each)))
    for name, methods in _LEFT_OUT.items():
        offered.append(Route(f"/{name}", _not_offered, methods=methods))
    handlers: Any = {HTTPException: _refused, Fault: _failed, Exception: _broken}
    app = Starlette(routes=offered, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return [Mount(PREFIX, app=app)]


def _both(
    name: str, answer: Answer, methods: list[str], more: Mapping[str, Answer] | None = None
) -> list[Route]:
    """Offer a path with and without a slash at its end."""
    each = {**dict.fromkeys(methods, answer), **(more or {})}
    return [Route(path, _by_method(each), methods=list(each)) for path in (f"/{name}", f"/{name}/")]


def _by_method(each: Mapping[str, Answer]) -> Answer:
    async def answer(request: Request) -> Response:
        return await each["GET" if request.method == "HEAD" else request.method](request)

    return answer


class _Face:
    """Answers requests by asking the identity service in the caller's name."""

    def __init__(self, stub: Any, courier: Courier, public_url: str) -> None:
        self._stub = stub
        self._courier = courier
        self._public_url = public_url.rstrip("/")

    async def describe(self, request: Request) -> Response:
        """Tell what the server can do."""
        topic, name = request.url.path.removeprefix(PREFIX).split("/")[1], request.path_params.get("name", "")
        if "filter" in request.query_params:
            return _error(403, "What the server can do is not searched; leave `filter` out.")
        asked = pb.DescribeScimRequest(topic=_TOPICS[topic], base_url=self._base(request), name=name)
        found = (await self._ask(request, self._stub.DescribeScim, asked)).documents
        if name or _TOPICS[topic] == pb.DescribeScimRequest.TOPIC_SERVICE_PROVIDER_CONFIG:
            return Response(found[0], media_type=_MEDIA_TYPE)
        return _list(found, len(found), 1)

    async def search(self, request: Request) -> Response:
        """Search users or groups, by query or by a document with the same words."""
        given = _query(request) if request.method != "POST" else _searched(await request.body())
        start, count = _number(given, "startIndex", 1), _number(given, "count", _PAGE)
        asked = pb.QueryScimResourcesRequest(
            resource_type=_type(request),
            filter=_text(given, "filter"),
            sort_by=_text(given, "sortBy"),
            is_descending=_text(given, "sortOrder").lower() == "descending",
            start_index=max(1, start),
            count=max(0, count),
            view=self._view(request, given),
        )
        found = await self._ask(request, self._stub.QueryScimResources, asked)
        return _list([one.document for one in found.resources], found.total_count, max(1, start))

    async def get(self, request: Request) -> Response:
        """Read one resource."""
        asked = pb.GetScimResourceRequest(
            resource_type=_type(request),
            resource_id=request.path_params["id"],
            view=self._view(request, _query(request)),
        )
        found = (await self._ask(request, self._stub.GetScimResource, asked)).resource
        if found.etag in _TAG.findall(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"ETag": f'W/"{found.etag}"'})
        return _resource(found)

    async def create(self, request: Request) -> Response:
        """Make a resource."""
        asked = pb.CreateScimResourceRequest(
            resource_type=_type(request),
            document=await _document(request),
            view=self._view(request, _query(request)),
        )
        found = (await self._ask(request, self._stub.CreateScimResource, asked)).resource
        place = f"{self._base(request)}/{_place(request)}/{found.resource_id}"
        return _resource(found, 201, {"Location": place})

    async def replace(self, request: Request) -> Response:
        """Put another document in place of the present one."""
        asked = pb.ReplaceScimResourceRequest(**await self._changed(request))
        return _resource((await self._ask(request, self._stub.ReplaceScimResource, asked)).resource)

    async def patch(self, request: Request) -> Response:
        """Change parts of a resource."""
        asked = pb.PatchScimResourceRequest(**await self._changed(request))
        found = (await self._ask(request, self._stub.PatchScimResource, asked)).resource
        if not found.document:
            return Response(status_code=204, headers={"ETag": f'W/"{found.etag}"'})
        return _resource(found)

    async def delete(self, request: Request) -> Response:
        """Delete a resource."""
        asked = pb.DeleteScimResourceRequest(
            resource_type=_type(request), resource_id=request.path_params["id"], etag=_etag(request)
        )
        await self._ask(request, self._stub.DeleteScimResource, asked)
        return Response(status_code=204)

    async def _changed(self, request: Request) -> dict[str, Any]:
        return {
            "resource_type": _type(request),
            "resource_id": request.path_params["id"],
            "document": await _document(request),
            "etag": _etag(request),
            "view": self._view(request, _query(request)),
        }

    async def _ask(self, request: Request, method: Any, asked: Any) -> Any:
        return await answered(method(asked, metadata=self._courier.metadata(request)))

    def _view(self, request: Request, given: dict[str, Any]) -> pb.ScimView:
        return pb.ScimView(
            base_url=self._base(request),
            attributes=_texts(given, "attributes"),
            excluded_attributes=_texts(given, "excludedAttributes"),
        )

    def _base(self, request: Request) -> str:
        address = self._public_url or f"{request.url.scheme}://{request.url.netloc}"
        return f"{address}{PREFIX}"


def _place(request: Request) -> str:
    return request.url.path.removeprefix(PREFIX).split("/")[1]


def _type(request: Request) -> pb.ScimResourceType.ValueType:
    return _TYPES[_place(request)]


def _query(request: Request) -> dict[str, Any]:
    return dict(request.query_params)


async def _document(request: Request) -> bytes:
    body = await request.body()
    _parsed(body)
    return body


def _searched(body: bytes) -> dict[str, Any]:
    given = _parsed(body)
    if not isinstance(given, dict):
        raise _unreadable("Send the search as one JSON object.")
    return given


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except FixRequest as fault:
        raise _unreadable(fault.message) from None


def _unreadable(message: str) -> FixRequest:
    return FixRequest("SCIM_INVALID_SYNTAX", message, metadata={"scim_type": "invalidSyntax"})


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name, "")
    return value if isinstance(value, str) else ""


def _texts(given: dict[str, Any], name: str) -> Iterable[str]:
    value = given.get(name, "")
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one]


def _number(given: dict[str, Any], name: str, default: int) -> int:
    try:
        return max(-1, min(int(given.get(name, default)), _MOST))
    except (TypeError, ValueError):
        message = f"Send a whole number as `{name}`."
        raise FixRequest("SCIM_INVALID_VALUE", message, metadata={"scim_type": "invalidValue"}) from None


def _etag(request: Request) -> str:
    """Return the etag that a change is bound to; empty when to none."""
    header = request.headers.get("if-match", "").strip()
    found = _TAG.findall(header)
    return found[0] if found else ("" if header in {"", "*"} else "-")


def _resource(found: pb.ScimResource, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    tags = {"ETag": f'W/"{found.etag}"', **(headers or {})}
    return Response(found.document, status_code=status, headers=tags, media_type=_MEDIA_TYPE)


def _list(documents: Iterable[bytes], total: int, start: int) -> Response:
    found = list(documents)
    head = {"schemas": [_LIST], "totalResults": total, "itemsPerPage": len(found), "startIndex": start}
    body = json.dumps(head)[:-1].encode() + b', "Resources": [' + b",".join(found) + b"]}"
    return Response(body, media_type=_MEDIA_TYPE)


def _error(status: int, detail: str, kind: str = "", headers: dict[str, str] | None = None) -> Response:
    body = {
        "schemas": [_ERROR],
        "status": str(status),
        "detail": detail,
        **({"scimType": kind} if kind else {}),
    }
    return Response(json.dumps(body), status_code=status, headers=headers, media_type=_MEDIA_TYPE)


async def _not_offered(request: Request) -> Response:
    return _error(501, f"{request.url.path} is not offered; ServiceProviderConfig tells what is.")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path} is not offered; ServiceProviderConfig tells what is."
    return _error(error.status_code, detail, headers=dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    kind = error.metadata.get("scim_type", "")
    if isinstance(error, AlreadyExists):
        kind = "uniqueness"
    elif isinstance(error, FixRequest) and not kind:
        kind = "invalidValue"
    status = 404 if isinstance(error, Missing) else status_of(error)
    return _error(status, error.message, kind, headers_of(error))


async def _broken(request: Request, error: Exception) -> Response:
    _log.error("request failed unexpectedly", error, method=request.method, path=request.url.path)
    return _error(500, "Something failed on our side; repeat the request, and report it if it fails again.")


__all__ = ["PREFIX", "routes"]
