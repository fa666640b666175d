"""An Azure Key Vault with its Entra: secrets with versions, soft deletion, pages, throttling and challenges.

Given the vendor's description of the interface, every request and every answer is judged by it.
"""

import itertools
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from isthmus.testing.http_server import Answer, HttpServer, Request

__all__ = ["KeyVault"]

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_PAGE = 25
_TENANT = "11111111-2222-3333-4444-555555555555"


@dataclass
class _Secret:
    """One name with its versions, oldest first."""

    versions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class KeyVault:
    """What `isthmus.kit.vault.azure` talks to.

    Attributes:
        http: Where it answers.
        contract: Folder with the vendor's `openapi.json`; None judges nothing.
        can_purge: Whether deleted secrets may be removed for good.
        throttled: How many requests are answered with 429.
        slow: How many questions about a deleted secret, and tries to take one back, come too early.
        resource: For whom the challenge wants a token; by default this server.
        shown: What applications have proved themselves with, by grant.
    """

    http: HttpServer
    contract: Path | None = None
    can_purge: bool = True
    throttled: int = 0
    slow: int = 0
    resource: str = ""
    shown: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._live: dict[str, _Secret] = {}
        self._deleted: dict[str, _Secret] = {}
        self._tokens: set[str] = set()
        self._seconds = itertools.count(1_700_000_000)
        self._judge = _Judge(self.contract) if self.contract is not None else None
        self.http.on(f"/{_TENANT}/oauth2/v2.0/token", self._token, "POST")
        for method in ("GET", "PUT", "DELETE", "POST"):
            self.http.on("/secrets*", self._answered, method)
            self.http.on("/deletedsecrets*", self._answered, method)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a service principal that may use it."""
        return {
            "AZURE_TENANT_ID": _TENANT,
            "AZURE_CLIENT_ID": "isthmus",
            "AZURE_CLIENT_SECRET": "principal-secret",
            "AZURE_AUTHORITY_HOST": self.http.url,
        }

    @property
    def names(self) -> list[str]:
        """Names that are taken, deleted ones included."""
        return sorted([*self._live, *self._deleted])

    def expire_tokens(self) -> None:
        """Take no token any more that was given so far."""
        self._tokens.clear()

    def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        self.shown.append(form)
        proved = form.get("client_secret") == "principal-secret" or form.get("client_assertion")
        if not proved:
            return Answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3599})

    def _answered(self, request: Request) -> Answer:
        answer = self._judged_before(request)
        if answer is None:
            answer = self._work(request)
        if self._judge is not None:
            self._judge.answer(request, answer)
        return answer

    def _judged_before(self, request: Request) -> Answer | None:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            resource = self.resource or self.http.url
            told = f'Bearer authorization="{self.http.url}/{_TENANT}", resource="{resource}"'
            return _error(401, "Unauthorized", {"www-authenticate": told})
        if self.throttled:
            self.throttled -= 1
            return _error(429, "Throttled", {"retry-after": "7"})
        if self._judge is not None:
            self._judge.request(request)
        return None

    def _work(self, request: Request) -> Answer:
        _, kind, *rest = request.path.split("/")
        if not rest:
            items = [
                _item(self, name, one.versions[-1], base=True) for name, one in sorted(self._live.items())
            ]
            return self._page(request, items)
        if not _NAME.fullmatch(rest[0]):
            return _error(400, "BadParameter")
        name = rest[0].lower()
        if kind == "deletedsecrets":
            return self._deleted_secret(request, name, rest[1:])
        if request.method == "PUT":
            return self._put(name, request.json)
        if name not in self._live:
            return _error(404, "SecretNotFound")
        return self._live_secret(request, name, rest[1:])

    def _live_secret(self, request: Request, name: str, rest: list[str]) -> Answer:
        if request.method == "DELETE":
            self._deleted[name] = self._live.pop(name)
            return Answer(200, self._gone(name))
        versions = self._live[name].versions
        if rest == ["versions"]:
            return self._page(request, [_item(self, name, one) for one in versions])
        wanted = rest[0] if rest else ""
        found = [one for one in versions if wanted in ("", one["version"])]
        return Answer(200, _bundle(self, name, found[-1])) if found else _error(404, "SecretNotFound")

    def _put(self, name: str, body: dict[str, Any]) -> Answer:
        if name in self._deleted:
            return _error(409, "Conflict")
        kept: dict[str, Any] = {key: body[key] for key in ("value", "contentType", "tags") if key in body}
        version = {**kept, "version": secrets.token_hex(16), "created": next(self._seconds)}
        self._live.setdefault(name, _Secret()).versions.append(version)
        return Answer(200, _bundle(self, name, version))

    def _deleted_secret(self, request: Request, name: str, rest: list[str]) -> Answer:
        if name not in self._deleted or self.slow:
            self.slow = max(0, self.slow - 1)
            return _error(404, "SecretNotFound")
        if rest == ["recover"]:
            self._live[name] = self._deleted.pop(name)
            return Answer(200, _bundle(self, name, self._live[name].versions[-1], value=False))
        if request.method == "DELETE":
            if not self.can_purge:
                return _error(403, "Forbidden")
            del self._deleted[name]
            return Answer(204)
        return Answer(200, self._gone(name))

    def _gone(self, name: str) -> dict[str, Any]:
        bundle = _bundle(self, name, self._deleted[name].versions[-1], value=False)
        now = next(self._seconds)
        told = {"deletedDate": now, "scheduledPurgeDate": now + 90 * 86_400}
        return {**bundle, **told, "recoveryId": f"{self.http.url}/deletedsecrets/{name}"}

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Answer:
        begin = int(request.query.get("$skiptoken", "0"))
        size = min(int(request.query.get("maxresults", _PAGE)), _PAGE)
        following = None
        if begin + size < len(items):
            following = (
                f"{self.http.url}{request.path}?api-version=7.4&maxresults={size}&$skiptoken={begin + size}"
            )
        return Answer(200, {"value": items[begin : begin + size], "nextLink": following})


class _Judge:
    """Compares what is said with the vendor's description."""

    def __init__(self, folder: Path) -> None:
        self._document = json.loads((folder / "openapi.json").read_text())

    def request(self, request: Request) -> None:
        operation = self._operation(request)
        for parameter in operation.get("parameters", ()):
            known = request.query if parameter["in"] == "query" else None
            if known is not None and parameter["name"] in known and parameter["schema"]["type"] == "integer":
                self._fits(int(known[parameter["name"]]), parameter["schema"])
            elif known is not None and parameter.get("required") and parameter["name"] not in known:
                raise AssertionError(f"{request.method} {request.path} lacks {parameter['name']}")
        if "requestBody" in operation:
            self._fits(request.json, operation["requestBody"]["content"]["application/json"]["schema"])

    def answer(self, request: Request, answer: Answer) -> None:
        responses = self._operation(request)["responses"]
        response = responses.get(str(answer.status), responses["default"])
        for media in response.get("content", {}).values():
            self._fits(answer.body, media["schema"])

    def _operation(self, request: Request) -> dict[str, Any]:
        described = sorted(self._document["paths"].items(), key=lambda one: one[0].count("{"))
        for path, methods in described:
            pattern = re.sub(r"\{[^}]+\}", "[^/]*", path)
            if re.fullmatch(pattern, request.path) and request.method.lower() in methods:
                found: dict[str, Any] = methods[request.method.lower()]
                return found
        raise AssertionError(f"the vendor does not describe {request.method} {request.path}")

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> None:
        from jsonschema import Draft202012Validator

        whole: dict[str, Any] = dict(schema)
        whole["components"] = self._document["components"]
        whole = _without_nullable(whole)
        Draft202012Validator(whole).validate(value)


def _without_nullable(schema: Any) -> Any:
    """Say `nullable` of OpenAPI 3.0 as JSON Schema does."""
    if isinstance(schema, list):
        return [_without_nullable(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    said = {key: _without_nullable(one) for key, one in schema.items()}
    if said.get("nullable") is True and isinstance(said.get("type"), str):
        said["type"] = [said["type"], "null"]
    return said


def _item(vault: KeyVault, name: str, version: Mapping[str, Any], *, base: bool = False) -> dict[str, Any]:
    own = {key: version[key] for key in ("contentType", "tags") if key in version}
    attributes = {
        "enabled": True,
        "created": version["created"],
        "updated": version["created"],
        "recoveryLevel": "Recoverable+Purgeable" if vault.can_purge else "Recoverable",
    }
    where = f"{vault.http.url}/secrets/{name}" + ("" if base else f"/{version['version']}")
    return {"id": where, "attributes": attributes, **own}


def _bundle(vault: KeyVault, name: str, version: Mapping[str, Any], *, value: bool = True) -> dict[str, Any]:
    shown = {"value": version["value"]} if value else {}
    return {**_item(vault, name, version), **shown}


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"error": {"code": code, "message": "as the vault says"}}, headers or {})
