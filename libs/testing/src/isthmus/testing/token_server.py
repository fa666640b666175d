"""A token server that follows its RFCs, and misbehaves where a test wants it to."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from isthmus.testing.canaries import PLANTED, canary
from isthmus.testing.http_server import Answer, HttpServer, Request

__all__ = ["CLIENT_SECRET", "TokenServer"]

CLIENT_SECRET = f"{PLANTED}client"
"""Of the client that every token server knows."""
_URN = "urn:ietf:params:oauth:grant-type:"
_ALGORITHMS = ["RS256", "PS256", "ES256"]


@dataclass
class Family:
    """Refresh tokens that follow from one authorization; only the newest is good.

    Attributes:
        newest: The one that is good.
        revoked: Set when an older one came again.
    """

    scope: str = ""
    newest: str = ""
    revoked: bool = False


@dataclass
class TokenServer:
    """OAuth 2.0 over `HttpServer`: client credentials, assertions, codes with PKCE, devices, refresh tokens.

    A refresh token that comes again revokes its whole family, as RFC 9700 asks for. A device that polls
    sooner than allowed is told to slow down.

    Attributes:
        clients: Secrets of clients by their id; an empty one makes a public client.
        expires_in: What is told about the life of access tokens; None tells nothing.
        rotates: Whether each refresh gives a new refresh token.
        granted: Gives the scopes granted for those asked for.
        hold: Answers wait for this once the request has had its effect.
        lost: How many answers are lost after the request has had its effect.
        failures: Answers given in place of a token, first ones first.
        keys: Checks signed assertions: the public key by client.
        asked: The forms that came, oldest first.
        good: Access tokens that were given.
        interval: Seconds between two polls of a device.
        entered: Whether the person has entered the device's code; None while undecided.
        ahead: Seconds by which its clock is ahead of ours; it refuses assertions from the future or the past.
    """

    clients: dict[str, str] = field(default_factory=lambda: {"mesh": CLIENT_SECRET})
    expires_in: int | None = 3600
    rotates: bool = True
    granted: Callable[[str], str] = str
    hold: asyncio.Event | None = None
    lost: int = 0
    failures: list[Answer] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    good: set[str] = field(default_factory=set)
    interval: float = 1
    entered: bool | None = None
    ahead: float = 0

    def __post_init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self._devices: dict[str, float] = {}
        self._arrived = asyncio.Event()

    def serve(self, server: HttpServer, path: str = "/token") -> str:
        """Answer at a server, and give the address of the token endpoint."""
        server.on(path, self._token, "POST")
        server.on("/device", self._device, "POST")
        return f"{server.url}{path}"

    def authorize(self, scope: str = "") -> str:
        """Give a refresh token, as if a person had authorized the client."""
        return self._new_refresh_token(Family(scope))

    def consent(self, address: str) -> tuple[str, str]:
        """Say yes as a person does in the browser; give `state` and `code` of the redirect."""
        query = dict(parse_qsl(urlsplit(address).query))
        if query["response_type"] != "code" or query["code_challenge_method"] != "S256":
            raise ValueError("a code with PKCE has to be asked for")
        code = canary("code")
        self._codes[code] = query
        return query["state"], code

    async def arrival(self) -> None:
        """Wait for the next request."""
        self._arrived.clear()
        await self._arrived.wait()

    async def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self.asked.append(form)
        self._arrived.set()
        answer = self.failures.pop(0) if self.failures else self._answered(request, form)
        if self.hold is not None:
            await self.hold.wait()
        if self.lost:
            self.lost -= 1
            return Answer(answer.status, json.dumps(answer.body), cut=0)
        return answer

    def _answered(self, request: Request, form: dict[str, str]) -> Answer:
        if not form.get("grant_type", "").endswith("jwt-bearer") and not self._is_client(request, form):
            return Answer(401, {"error": "invalid_client"})
        grants: dict[str, Callable[[dict[str, str]], Answer]] = {
            "client_credentials": lambda form: self._granting(form.get("scope", "")),
            "refresh_token": self._refreshed,
            "authorization_code": self._redeemed,
            f"{_URN}device_code": self._polled,
            f"{_URN}jwt-bearer": self._asserted,
        }
        grant = grants.get(form.get("grant_type", ""))
        return grant(form) if grant else Answer(400, {"error": "unsupported_grant_type"})

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(pair).decode().partition(":")
            return self.clients.get(unquote_plus(name)) == unquote_plus(secret)
        if "client_assertion" in form:
            return self._is_signed(form["client_assertion"], form.get("client_id", ""))
        return self.clients.get(form.get("client_id", "")) == form.get("client_secret", "")

    def _is_signed(self, assertion: str, client: str) -> bool:
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            claims = jwt.decode(assertion, self.keys[client], algorithms=_ALGORITHMS).claims
        except (JoseError, KeyError, ValueError):
            return False
        is_good = claims["iat"] <= time.time() + self.ahead < claims["exp"]
        return bool(is_good and claims["iss"] == claims["sub"] == client and claims["aud"].endswith("/token"))

    def _redeemed(self, form: dict[str, str]) -> Answer:
        begun = self._codes.pop(form.get("code", ""), {})
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if begun.get("code_challenge") != challenge or begun["redirect_uri"] != form.get("redirect_uri"):
            return Answer(400, {"error": "invalid_grant"})
        return self._granting(begun.get("scope", ""), Family(begun.get("scope", "")))

    def _device(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        code = canary("device")
        self._devices[code] = time.monotonic()
        answer = {
            "device_code": code,
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://login.example/device",
            "expires_in": 600,
            "interval": self.interval,
        }
        return Answer(200, answer) if form.get("client_id") in self.clients else Answer(401, {})

    def _polled(self, form: dict[str, str]) -> Answer:
        code = form.get("device_code", "")
        last = self._devices.get(code)
        if last is None:
            return Answer(400, {"error": "invalid_grant"})
        self._devices[code] = time.monotonic()
        if self._devices[code] - last < self.interval:
            return Answer(400, {"error": "slow_down"})
        if self.entered is None:
            return Answer(400, {"error": "authorization_pending"})
        del self._devices[code]
        return self._granting("", Family()) if self.entered else Answer(400, {"error": "access_denied"})

    def _asserted(self, form: dict[str, str]) -> Answer:
        from joserfc import jwt
        from joserfc.errors import JoseError

        for key in self.keys.values():
            with suppress(JoseError, ValueError):
                claims = jwt.decode(form.get("assertion", ""), key, algorithms=_ALGORITHMS).claims
                return self._granting(str(claims.get("scope", "")))
        return Answer(400, {"error": "invalid_grant"})

    def _refreshed(self, form: dict[str, str]) -> Answer:
        token = form.get("refresh_token", "")
        family = self._families.get(token)
        if family is None or family.revoked:
            return Answer(400, {"error": "invalid_grant"})
        if family.newest != token:
            family.revoked = True
            return Answer(400, {"error": "invalid_grant"})
        return self._granting(family.scope, family if self.rotates else None)

    def _granting(self, asked: str, family: Family | None = None) -> Answer:
        token = canary("access")
        self.good.add(token)
        body: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.expires_in is not None:
            body["expires_in"] = self.expires_in
        scope = self.granted(asked)
        if scope != asked:
            body["scope"] = scope
        if family is not None:
            body["refresh_token"] = self._new_refresh_token(family)
        return Answer(200, body, {"cache-control": "no-store"})

    def _new_refresh_token(self, family: Family) -> str:
        family.newest = canary("refresh")
        self._families[family.newest] = family
        return family.newest
