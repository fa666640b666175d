"""A small __Title__ to try the connector against."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from isthmus.sdk.sandbox import Call, Push, Refused, Sandbox, get, put

_TOKEN = "sandbox-token"  # noqa: S105  nothing but the sandbox takes it
_SIGNING_SECRET = "whsec_" + base64.b64encode(b"sandbox-signing-secret-of-32-byte").decode()
_TITLES = ("Leak", "Phishing", "Lost laptop", "Malware")


def incident(number: int, random: Random) -> dict[str, Any]:
    """Make the incident with a number."""
    return {"id": f"INC{number:05}", "title": random.choice(_TITLES), "severity": random.randint(1, 5)}


class __Class__Sandbox(Sandbox):
    """Keeps incidents and shows them in pages of ten."""

    connector = "__name__"
    page_size = 10

    def build(self) -> None:
        """Makes the incidents."""
        self.incidents = self.collection("incidents", incident)

    def credential(self) -> dict[str, Any]:
        """The token, and what webhooks are signed with."""
        return {"method": "bearer", "secret": _TOKEN, "fields": {"signing_secret": _SIGNING_SECRET}}

    def authenticate(self, call: Call) -> None:
        """Wants the token."""
        if call.headers.get("authorization") != f"Bearer {_TOKEN}":
            raise Refused(401, "Send a valid token.", code="unauthorized")

    @get("/me")
    def me(self, call: Call) -> dict[str, Any]:
        """Who the token belongs to."""
        del call
        return {"name": "isthmus"}

    @get("/incidents")
    def incidents_page(self, call: Call) -> dict[str, Any]:
        """One page of incidents, the oldest change first."""
        since = call.query.get("since")
        rows = self.incidents.listed(datetime.fromisoformat(since) if since else None)
        begin = call.number("after", 0, 10**9)
        page = rows[begin : begin + self.page_size]
        end = begin + len(page)
        link = f"/incidents?after={end}" + (f"&since={since}" if since else "")
        return {"items": page, "next": link.replace("+", "%2B") if end < len(rows) else None}

    @put("/incidents/{id}")
    def put_incident(self, call: Call) -> dict[str, Any]:
        """Creates or replaces an incident."""
        key, given = call.parts["id"], call.json
        if key in self.incidents.refused or not isinstance(given, dict):
            raise Refused(422, "The incident is not valid.", code="invalid")
        if key in self.incidents:
            return self.incidents.updated(key, given)
        return self.incidents.created({**given, "id": key})

    def pushes(self) -> list[Push]:
        """The webhook about the newest incident."""
        newest = self.incidents.listed()[-1] if len(self.incidents) else self.incidents.add()
        body = json.dumps({"type": "incident.changed", "incident": newest}).encode()
        return [Push("incident.changed", body, signed(body), signed(body, at=1))]


def signed(body: bytes, at: float | None = None) -> Mapping[str, str]:
    """The headers of a webhook, signed as Standard Webhooks has it."""
    name, moment = "msg_1", str(int(time.time() if at is None else at))
    key = base64.b64decode(_SIGNING_SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": signature}
