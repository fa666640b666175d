"""A reconciliation whose host is killed in the middle goes on, and its figures are exact."""

import os
import signal
import threading
import time

import pytest

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.xdist_group("failure"),
    pytest.mark.timeout(600),
]

TOTAL = 10_000
PAGE = 250
DOCUMENTS = """
kind: Instance
name: compared
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: incidents
        path: /compared
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Mapping
name: compared
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: title}}
---
kind: Flow
name: compared
spec:
  source: {{instance: compared, stream: incidents}}
  mapping: compared
  destination: {{instance: hub, stream: compared}}
  key: [id]
"""


class Source:
    """Incidents that change when told, and answers that are held back from some record on."""

    def __init__(self, vendor):
        self.shift = 0
        vendor.serve_pages("/compared", TOTAL, PAGE, self._incident)
        self._route = vendor.routes["/compared"]
        self._moved = threading.Condition()
        self._end = TOTAL
        vendor.routes["/compared"] = self._answer

    def _incident(self, number):
        """The first hundred are others after a change, and one in every thousand has another title."""
        changed = self.shift and number % 1000 == 500
        known = number + TOTAL if self.shift and number < 100 else number
        return {"id": known, "title": f"another {number}" if changed else f"incident {number}"}

    def hold_from(self, end):
        """Lets through what comes before a record."""
        with self._moved:
            self._end = end
            self._moved.notify_all()

    def _answer(self, query):
        with self._moved:
            self._moved.wait_for(lambda: int(query.get("after", "0")) < self._end)
        return self._route(query)


@pytest.fixture
def source(vendor):
    """Gives the source, whose answers are held back no longer than the test."""
    made = Source(vendor)
    yield made
    made.hold_from(TOTAL)


def test_a_killed_comparison_goes_on_and_counts_nothing_twice(mesh, vendor, source):
    """
    The source's host dies by SIGKILL when half of the source has been announced; the next attempt goes on
    behind that. Then the repair is killed likewise, and both sides are the same in the end.
    """
    mesh.apply(DOCUMENTS.format(url=vendor.url))
    mesh.answer("sync", "run", "compared", "--watch")
    source.shift = 1
    report = killed(mesh, source, "LEG_COMPARE_SOURCE")
    killed(mesh, source, "LEG_REPAIR", "--repair", "--delete-extra")
    last = mesh.answer("reconcile", "run", "compared", "--watch")

    assert figures(report) == {"missing": 100, "extra": 100, "different": 10, "equal": TOTAL - 110}
    assert figures(last) == {"equal": TOTAL}


def killed(mesh, source, leg, *options):
    """Reconciles, kills the source's host in the middle of a leg, and gives the report in the end."""
    if leg == "LEG_COMPARE_SOURCE":
        source.hold_from(TOTAL // 2)
    begun = mesh.answer("reconcile", "run", "compared", *options)["report_id"]
    if leg == "LEG_REPAIR":
        until(lambda: at(mesh, begun, leg), "the repair does not begin")
    else:
        until(lambda: at(mesh, begun, leg) >= TOTAL // 2 - PAGE, "the comparison does not get to the middle")
    os.kill(mesh.pid("host-http-json"), signal.SIGKILL)
    source.hold_from(TOTAL)
    execution = mesh.answer("executions", "watch", begun)
    until(lambda: shown(mesh, begun)["status"] != "STATUS_RUNNING", "the report is not closed")

    assert execution["status"] == "STATUS_COMPLETED"
    return shown(mesh, begun)


def at(mesh, execution_id, leg):
    """Gives how many records a leg has read by now; 0 while it has not begun."""
    execution = mesh.answer("executions", "show", execution_id)
    return sum(int(one["counts"]["read"]) for one in execution["legs"] if one["leg"] == leg)


def shown(mesh, report_id):
    """Gives a report."""
    return mesh.answer("reconcile", "show", report_id)


def figures(report):
    """Gives the figures of a report that are not zero."""
    names = ("missing", "extra", "different", "equal", "unrelated", "unreadable")
    return {name: int(report[name]) for name in names if int(report[name])}


def until(condition, what):
    """Waits for something that another process does."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)
