"""A tenant that has used up what it may do in a day waits, and nobody else does."""

import os

import pytest
from isthmus.testing.waiting import until

pytestmark = [pytest.mark.mesh]

FLOW = """
kind: Instance
name: quota-system
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: quota-items, path: /quota-items, records_path: items, key: [id]}}]
---
kind: Flow
name: quota-items
spec:
  source: {{instance: quota-system, stream: quota-items}}
  destination: {{instance: hub, stream: quota-items}}
  key: [id]
"""


def test_a_tenant_beyond_its_quota_waits_and_others_do_not(mesh, vendor):
    """
    The execution says which quota is used up and when there will be room; once that is so it ends by itself.
    """
    vendor.serve_json("/quota-items", {"items": [{"id": str(number)} for number in range(20)]})
    made = mesh.answer("tenants", "create", f"quota-{os.urandom(4).hex()}")
    tenant, key = made["tenant_id"], {"ISTHMUS_API_KEY": made["api_key"]}
    mesh.ok("quota", "set", "records_per_day=5", "--tenant", tenant)
    for env in (key, {}):
        mesh.apply(FLOW.format(url=vendor.url), env=env)

    def executions():
        found = mesh.answer("executions", "list", env=key)
        if found[0]["status"] == "STATUS_COMPLETED":
            mesh.answer("sync", "run", "quota-items", env=key)
        return found

    # What reaches the quota is stored whole; once that has been counted, the next one is too much.
    mesh.answer("sync", "run", "quota-items", "--watch", env=key)
    waiting, *_ = until(
        executions,
        "an execution to wait for its quota",
        such=lambda found: found[0]["status"] == "STATUS_PENDING" and found[0].get("error"),
    )
    other = mesh.answer("sync", "run", "quota-items", "--watch")
    told = {one["quota"]: one for one in mesh.answer("quota", "show", env=key)["usage"]}
    mesh.ok("quota", "set", "records_per_day=none", "--tenant", tenant)
    ended = mesh.answer("executions", "watch", waiting["execution_id"], env=key)

    assert waiting["error"]["reason"] == "QUOTA_EXCEEDED"
    assert "records per day" in waiting["error"]["message"]
    assert waiting["error"]["retry_after"]
    assert other["status"] == "STATUS_COMPLETED"
    assert told["records_per_day"]["limit"] in (5, "5")
    assert ended["status"] == "STATUS_COMPLETED"
