"""Secrets in Azure Key Vault, through its REST interface 7.4.

A path becomes a name of the letters that Key Vault takes; the path itself and our version numbers lie in
tags. See https://learn.microsoft.com/rest/api/keyvault/secrets.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.kit.vault.azure_login import AzureLogin
from isthmus.kit.vault.port import ROOT, VaultState
from isthmus.kit.vault.refusal import unreachable
from isthmus.kit.vault.shelf import unknown
from isthmus.resilience.faults import Conflict, DataLost, Fault, Missing, Precondition

_API = "7.4"
_CALL_SECONDS = 5.0
_RECOVER_TRIES, _SETTLE_TRIES, _PAUSE_SECONDS = 16, 6, 0.25
_LONGEST_NAME, _LONGEST_VALUE = 127, 25_000
_PATH, _VERSION = "isthmus-path", "isthmus-version"
_JSON = "application/json"
_RESOURCE = re.compile(r'resource="?(https?://[^",\s]+)', re.IGNORECASE)


def name_of(path: str) -> str:
    """Return the name of a path: letters and digits stand for themselves, the rest as `-` and its code.

    Key Vault compares names without regard to case, so capitals are written by their code, too.
    """
    plain = "".join(
        char if char.isascii() and (char.islower() or char.isdigit()) else f"-{char.encode().hex()}"
        for char in path
    )
    if len(plain) <= _LONGEST_NAME:
        return plain
    return f"isthmus-{hashlib.sha256(path.encode()).hexdigest()}"


class AzureKeyVault:
    """Documents in a Key Vault; each of our versions is one of Key Vault's, found by its tag.

    Key Vault has no conditional write. A version is read before it is written and after, so two writers learn
    of each other unless both write in the same moment; then the later one counts.

    Args:
        address: For example `https://NAME.vault.azure.net`.
        login: Who we are.
    """

    def __init__(self, address: str, login: AzureLogin) -> None:
        parts = urlsplit(address)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            message = f"{address} is no address of a Key Vault; it begins with https://."
            raise Precondition("SETTING_INVALID", message)
        self._address = address.rstrip("/")
        self._host = parts.hostname or ""
        self._login = login
        self._client: Any = None
        self._resource = ""
        self._numbers: dict[tuple[str, int], str] = {}

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version with its number; nothing and 0 where there is none."""
        try:
            bundle = await self._ask("GET", f"/secrets/{name_of(path)}/")
        except Missing:
            return {}, 0
        return _document(bundle), _number(bundle)

    async def version(self, path: str, number: int) -> dict[str, Any]:
        """Return one version."""
        name = name_of(path)
        known = self._numbers.get((name, number))
        if known is None:
            async for item in self._listed(f"/secrets/{name}/versions"):
                self._numbers.setdefault((name, _number(item)), item["id"].rpartition("/")[2])
            known = self._numbers.get((name, number))
        if known is None:
            raise unknown()
        return _document(await self._ask("GET", f"/secrets/{name}/{known}"))

    async def add(self, path: str, data: dict[str, Any], after: int | None) -> int:
        """Store another version."""
        _, newest = await self.newest(path)
        if after is not None and after != newest:
            raise _changed()
        bundle = await self._set(path, data, newest + 1)
        if after is not None:
            now = await self._ask("GET", f"/secrets/{name_of(path)}/")
            if now["id"] != bundle["id"]:
                raise _changed()
        return _number(bundle)

    async def remove(self, path: str) -> None:
        """Delete a secret, and purge it where that is allowed; else Key Vault keeps it for a while."""
        name = name_of(path)
        for key in [key for key in self._numbers if key[0] == name]:
            del self._numbers[key]
        try:
            await self._ask("DELETE", f"/secrets/{name}")
        except (Missing, Conflict):
            return
        if await self._settled(name):
            try:
                await self._ask("DELETE", f"/deletedsecrets/{name}")
            except (Missing, Conflict, Precondition):
                return

    async def state(self) -> VaultState:
        """Ask for the first page of names."""
        try:
            await self._ask("GET", "/secrets", maxresults="1")
        except Fault as fault:
            return VaultState("azure", self._address, is_usable=False, text=fault.message)
        return VaultState("azure", self._address, is_usable=True, text="answers")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def paths(self) -> AsyncIterator[str]:
        """List whole paths of ours; other secrets of the same Key Vault are left alone."""
        async for item in self._listed("/secrets"):
            path = item.get("tags", {}).get(_PATH, "")
            if path.startswith(ROOT):
                yield path

    async def versions(self, path: str) -> dict[int, dict[str, Any]]:
        """Return the versions that are kept of a secret, by number."""
        name = name_of(path)
        found: dict[int, dict[str, Any]] = {}
        try:
            listed = [item async for item in self._listed(f"/secrets/{name}/versions")]
        except Missing:
            return {}
        for item in sorted(listed, key=lambda one: one["attributes"].get("created", 0)):
            if item["attributes"].get("enabled", True) and _VERSION in item.get("tags", {}):
                bundle = await self._ask("GET", f"/secrets/{name}/{item['id'].rpartition('/')[2]}")
                found[_number(item)] = _document(bundle)
        return found

    async def put(self, path: str, versions: Mapping[int, dict[str, Any]]) -> None:
        """Store versions under their numbers, oldest first."""
        _, newest = await self.newest(path)
        if newest:
            await self.remove(path)
        for number in sorted(versions):
            await self._set(path, versions[number], number)

    async def _set(self, path: str, data: dict[str, Any], number: int) -> dict[str, Any]:
        text = json.dumps(data, separators=(",", ":"))
        if len(text) > _LONGEST_VALUE:
            message = (
                f"Azure Key Vault takes secrets of {_LONGEST_VALUE} bytes at most; this one has {len(text)}."
            )
            raise Precondition("SECRET_TOO_LARGE", message)
        name = name_of(path)
        tags = {_PATH: path[:256], _VERSION: str(number)}
        body = {"value": text, "contentType": _JSON, "tags": tags}
        for _ in range(_RECOVER_TRIES):
            try:
                bundle = await self._ask("PUT", f"/secrets/{name}", body)
            except Conflict:
                await self._recover(name)
                continue
            self._numbers[name, number] = bundle["id"].rpartition("/")[2]
            return bundle
        raise unreachable("still deletes what was stored there before")

    async def _recover(self, name: str) -> None:
        """Take a deleted secret back, whose name Key Vault gives to nobody else; it takes some seconds."""
        try:
            await self._ask("POST", f"/deletedsecrets/{name}/recover")
        except (Missing, Conflict):
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _settled(self, name: str) -> bool:
        """Wait for a deletion to be over, as long as a call may take."""
        for _ in range(_SETTLE_TRIES):
            try:
                await self._ask("GET", f"/deletedsecrets/{name}")
            except Missing:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return True
        return False

    async def _listed(self, path: str) -> AsyncIterator[dict[str, Any]]:
        page = await self._ask("GET", path, maxresults="25")
        while True:
            for item in page.get("value") or ():
                yield item
            following = page.get("nextLink")
            if not following:
                return
            if not following.startswith(f"{self._address}/"):
                raise unreachable("names another server for the next page")
            page = await self._ask("GET", following.removeprefix(self._address), follows=True)

    async def _ask(
        self, method: str, path: str, body: object = None, *, follows: bool = False, **query: str
    ) -> dict[str, Any]:
        """Ask once, and once more with a new token where the one in use is refused."""
        import httpx

        try:
            async with asyncio.timeout(_CALL_SECONDS):
                for last in (False, True):
                    answer = await self._send(method, path, body, {} if follows else query, follows=follows)
                    if answer.status_code != 401 or last:
                        break
                    self._login.forget()
                    self._resource = self._challenged(answer.headers.get("www-authenticate", ""))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            # What the client says may repeat the request: only the kind of the error is told.
            raise unreachable(f"cannot be reached ({type(error).__name__})") from None
        return _judged(answer)

    async def _send(
        self, method: str, path: str, body: object, query: Mapping[str, str], *, follows: bool
    ) -> Any:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=_CALL_SECONDS)
        headers = {"accept": _JSON}
        if self._resource:
            headers["authorization"] = f"Bearer {await self._login.token(self._client, self._resource)}"
        url = f"{self._address}{path}"
        parameters = None if follows else {**query, "api-version": _API}
        return await self._client.request(method, url, params=parameters, json=body, headers=headers)

    def _challenged(self, challenge: str) -> str:
        """Read for whom the token has to be; nobody but this vault's own cloud gets one."""
        found = _RESOURCE.search(challenge)
        resource = found[1] if found else ""
        host = urlsplit(resource).hostname or ""
        if not host or not (self._host == host or self._host.endswith(f".{host}")):
            raise unreachable("wants a token for another resource than itself")
        return resource


def _judged(answer: Any) -> dict[str, Any]:
    status = answer.status_code
    if status < 300:
        if status == 204:
            return {}
        body = answer.json()
        if isinstance(body, dict):
            return body
        raise unreachable("answers with something else than a document")
    try:
        code = str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        code = ""
    if status == 404:
        raise unknown()
    if status == 409:
        raise _changed()
    if status == 403:
        message = (
            "Azure Key Vault lets this identity not do that; give it the role Key Vault Secrets Officer."
        )
        raise Precondition("VAULT_FORBIDDEN", message)
    if status == 429:
        told = answer.headers.get("retry-after", "")
        raise unreachable("is throttled", float(told) if told.isdigit() else 5.0)
    raise unreachable(f"answers with an error ({status} {code[:60]})")


def _document(bundle: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(bundle["value"])
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        message = "A secret in the vault is no document of ours: somebody has overwritten it; enter it again."
        raise DataLost("SECRET_BROKEN", message)
    return found


def _number(bundle: Mapping[str, Any]) -> int:
    told = (bundle.get("tags") or {}).get(_VERSION, "")
    return int(told) if told.isdigit() else 0


def _changed() -> Conflict:
    return Conflict("SECRET_CHANGED", "Somebody else stored this secret meanwhile; read it again.")


__all__ = ["AzureKeyVault", "name_of"]
