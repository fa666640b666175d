"""Steps of plans that are no flows, on a whole mesh."""

import json

import pytest
from isthmus.testing.vendor import Reply

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: month-end
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - {{name: accounts, path: /month-end/accounts, records_path: items, key: [id]}}
---
kind: Flow
name: month-accounts
spec:
  source: {{instance: month-end, stream: accounts}}
  destination: {{instance: hub, stream: month-accounts}}
  key: [id]
---
kind: Plan
name: month
spec:
  steps:
    - {{name: copy, flow: month-accounts}}
    - {{name: compare, flow: month-accounts, reconcile: {{repair: true}}, after: [copy]}}
    - name: close
      after: [compare]
      action:
        instance: month-end
        action: send_once
        input: {{path: /month-end/close, body: {{month: "2026-10"}}}}
      compensate:
        instance: month-end
        action: put
        input: {{path: /month-end/open}}
"""


def test_a_plan_copies_compares_and_calls(mesh, vendor):
    """
    The system that is busy at first gets the same key each time; documents come back as they were applied.
    """
    answers = [Reply(b"{}", 503, {"Retry-After": "0"}), Reply(b'{"closed": "2026-10"}')]
    vendor.serve_json("/month-end/accounts", {"items": [{"id": "1"}, {"id": "2"}]})
    vendor.routes["/month-end/close"] = lambda _: answers.pop(0)
    documents = DOCUMENTS.format(url=vendor.url)
    mesh.apply(documents)
    done = mesh.answer("plans", "run", "month", "--watch")
    again = mesh.apply(documents)
    steps = {step["name"]: step for step in done["steps"]}
    keys = {sent.headers["idempotency-key"] for sent in vendor.sent}

    assert done["status"] == "STATUS_COMPLETED"
    assert keys == {steps["close"]["execution_id"]}
    assert [json.loads(sent.body) for sent in vendor.sent] == [{"month": "2026-10"}] * 2
    assert json.loads(steps["close"]["output"]) == {"status": 200, "body": {"closed": "2026-10"}}
    assert mesh.answer("executions", "show", steps["compare"]["execution_id"])["reconcile"]["repair"]
    assert {one["action"] for one in again} == {"unchanged"}
