"""No more executions at work with an instance at a time than its limits say."""

import json
import threading

import pytest
from isthmus.testing.vendor import Reply
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

NAMES = ("room-users", "room-groups", "room-tickets")
SYSTEM = """
kind: Instance
name: narrow
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - {{name: room-users, path: /room-users, records_path: items, key: [id]}}
      - {{name: room-groups, path: /room-groups, records_path: items, key: [id]}}
      - {{name: room-tickets, path: /room-tickets, records_path: items, key: [id]}}
  limits: {{executions: 1}}
"""
FLOW = """
---
kind: Flow
name: {name}
spec:
  source: {{instance: narrow, stream: {name}}}
  destination: {{instance: hub, stream: {name}}}
  key: [id]
"""


class Door:
    """Holds answers back until it is opened, and notes who came in."""

    def __init__(self, vendor):
        self._open, self.came = threading.Event(), []
        for name in NAMES:
            vendor.routes[f"/{name}"] = lambda _, name=name: self._answer(name)

    def open(self):
        """Lets everybody through."""
        self._open.set()

    def _answer(self, name):
        self.came.append(name)
        if not self._open.wait(120):
            return Reply(b"{}", 503)
        return Reply(
            json.dumps({"items": [{"id": "1"}]}).encode(), headers={"Content-Type": "application/json"}
        )


def wait_until_two_wait(mesh):
    """Waits until two executions say that the instance has no place for them."""
    return until(
        lambda: [one for one in mesh.answer("executions", "list") if one["waiting_for_instance_id"]],
        "two executions without a place",
        such=lambda found: len(found) == 2,
    )


def test_executions_beyond_the_limit_wait_and_go_on_by_themselves(mesh, vendor):
    """
    One is at work, two are shown as waiting; when the first ends, each of the others has its turn.
    """
    for name in NAMES:
        vendor.serve_json(f"/{name}", {"items": []})
    mesh.apply(SYSTEM.format(url=vendor.url) + "".join(FLOW.format(name=name) for name in NAMES))
    door = Door(vendor)
    started = [one["execution_id"] for one in mesh.answer("sync", "run", NAMES[0], "room-*")]
    waiting = wait_until_two_wait(mesh)
    table = mesh.ok("executions", "list").out
    inside = set(door.came)
    door.open()
    done = [mesh.answer("executions", "watch", one) for one in started]

    assert len({one["waiting_for_instance_id"] for one in waiting}) == 1
    assert "pending (no room)" in table
    assert len(inside) <= 1
    assert [one["status"] for one in done] == ["STATUS_COMPLETED"] * 3
