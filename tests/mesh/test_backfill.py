"""A backfill on a whole mesh: it survives the death of its host and leaves the flow's position alone."""

import json
import os
import signal
import threading
from datetime import datetime, timedelta

import pytest
from isthmus.testing.canaries import canary
from isthmus.testing.vendor import Reply
from isthmus.testing.waiting import until

pytestmark = [pytest.mark.mesh, pytest.mark.slow]

TOTAL, PAGE = 1000, 20
DOCUMENTS = """
kind: Credential
name: backfilled
spec: {{type: api_key, query_parameter: key, secret: {{env: INCIDENTS_KEY}}}}
---
kind: Instance
name: backfilled
spec:
  connector: http-json
  credential: backfilled
  configuration:
    base_url: "{url}"
    streams:
      - name: incidents
        path: /incidents
        records_path: items
        key: [id]
        cursor: {{field: changed_at, param: since}}
        range: {{field: changed_at, from_param: changed_from, until_param: changed_until}}
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Flow
name: backfilled
spec:
  source: {{instance: backfilled, stream: incidents}}
  destination: {{instance: hub, stream: backfilled}}
"""


class Incidents:
    """A vendor's thousand incidents, one an hour from the first of January; it can hold an answer back.

    At the second question it is busy, and tells who asks his own key.
    """

    def __init__(self):
        self.level = "old"
        self.asked = []
        self.hold_at = -1
        self.held, self.go = threading.Event(), threading.Event()

    def record(self, number):
        at = datetime(2026, 1, 1) + timedelta(hours=number)
        return {"id": number, "changed_at": f"{at.isoformat()}Z", "level": self.level}

    def answer(self, query):
        key = query.pop("key")
        self.asked.append(query)
        if len(self.asked) == 2:
            return Reply(f"Too much to do, {key}".encode(), 503)
        since = query.get("since") or query.get("changed_from", "")
        found = [one for one in map(self.record, range(TOTAL)) if one["changed_at"] >= since]
        # This system takes the end as included.
        found = [one for one in found if one["changed_at"] <= query.get("changed_until", "9")]
        first = int(query.get("after", "0"))
        if first == self.hold_at and not self.go.is_set():
            self.held.set()
            self.go.wait(120)
        last = min(first + PAGE, len(found))
        body = {"items": found[first:last], "next": last if last < len(found) else None}
        return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def levels(mesh):
    """Gives the level that the hub holds of each incident."""
    found = mesh.answer("records", "query", "backfilled", "--limit", "0")
    return {one["data"]["id"]: one["data"]["level"] for one in found}


def committed(mesh, execution_id):
    """Tells how many records of an execution are behind its positions."""
    return int(mesh.answer("executions", "show", execution_id)["counts"]["read"])


def test_a_backfill_survives_the_death_of_its_host(mesh, vendor):
    """
    Exactly the records of the span are written again, and the next sync begins where the last one ended.
    """
    incidents = Incidents()
    vendor.routes["/incidents"] = incidents.answer
    mesh.apply(DOCUMENTS.format(url=vendor.url), env={"INCIDENTS_KEY": canary("incidents")})
    mesh.ok("sync", "run", "backfilled", "--watch")
    incidents.level, incidents.hold_at = "new", 200

    words = ("--from", "2026-01-06", "--to", "2026-01-16T00:00:00+00:00")
    execution_id = mesh.answer("sync", "backfill", "backfilled", *words)["execution_id"]
    assert incidents.held.wait(60)
    until(lambda: committed(mesh, execution_id) >= 100, "a position")
    os.kill(mesh.pid("host-http-json"), signal.SIGKILL)
    before = len(incidents.asked)
    incidents.go.set()
    ended = mesh.answer("executions", "watch", execution_id)

    assert ended["status"] == "STATUS_COMPLETED"
    assert (int(ended["counts"]["updated"]), int(ended["counts"]["filtered"])) == (240, 1)
    expected = {number: "new" if 120 <= number < 360 else "old" for number in range(TOTAL)}
    assert levels(mesh) == expected
    again = [query for query in incidents.asked[before:] if "changed_from" in query]
    assert min(int(query.get("after", "0")) for query in again) >= 100
    assert all("since" not in query for query in again)

    incidents.asked.clear()
    mesh.ok("sync", "run", "backfilled", "--watch")
    assert incidents.asked[0]["since"] == incidents.record(TOTAL - 1)["changed_at"]
