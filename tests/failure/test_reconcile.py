"""A reconciliation in which processes are killed in the middle goes on, and its figures are exact."""

import os
import signal
import threading

import pytest
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
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
        self._passes, self._held_pass, self._end = 0, 0, TOTAL
        vendor.routes["/compared"] = self._answer

    def _incident(self, number):
        """The first hundred are others after a change, and one in every thousand has another title."""
        changed = self.shift and number % 1000 == 500
        known = number + TOTAL if self.shift and number < 100 else number
        return {"id": known, "title": f"another {number}" if changed else f"incident {number}"}

    def hold_from(self, end, later=0):
        """Lets through what comes before a record, in the next reading from the beginning or a later one."""
        with self._moved:
            self._held_pass, self._end = self._passes + 1 + later, end
            self._moved.notify_all()

    def let_go(self):
        """Lets everything through."""
        self.hold_from(TOTAL)

    def _answer(self, query):
        after = int(query.get("after", "0"))
        with self._moved:
            self._passes += after == 0
            self._moved.wait_for(lambda: self._passes != self._held_pass or after < self._end)
        return self._route(query)


@pytest.fixture
def source(vendor):
    """Gives the source, whose answers are held back no longer than the test."""
    made = Source(vendor)
    yield made
    made.let_go()


def test_a_killed_comparison_goes_on_and_counts_nothing_twice(mesh, vendor, source):
    """
    The source's host dies by SIGKILL when half of the source has been announced; the next attempt goes on
    behind that. Then the repair is killed in its middle likewise, and both sides are the same in the end.
    What changes afterwards is repaired while the hub dies.
    """
    mesh.apply(DOCUMENTS.format(url=vendor.url))
    mesh.answer("sync", "run", "compared", "--watch")
    source.shift = 1
    report = killed(mesh, source, "host-http-json", "LEG_COMPARE_SOURCE")
    repaired = killed(mesh, source, "host-http-json", "LEG_REPAIR", "--repair", "--delete-extra")
    same = mesh.answer("reconcile", "run", "compared", "--watch")
    source.shift = 0
    again = killed(mesh, source, "records", "LEG_REPAIR", "--repair", "--delete-extra")
    last = mesh.answer("reconcile", "run", "compared", "--watch")

    assert figures(report) == {"missing": 100, "extra": 100, "different": 10, "equal": TOTAL - 110}
    for one in (repaired, again):
        assert figures(one) == figures(report)
        assert (one["repaired"], one["removed"], one["refused"]) == ("110", "100", "0")
    assert figures(same) == figures(last) == {"equal": TOTAL}


def killed(mesh, source, victim, leg, *options):
    """Reconciles, kills a process in the middle of a leg, and gives the report in the end."""
    source.hold_from(TOTAL // 2, later=int(leg == "LEG_REPAIR"))
    begun = mesh.answer("reconcile", "run", "compared", *options)["report_id"]
    until(lambda: at(mesh, begun, leg) >= TOTAL // 2 - PAGE, f"{leg} to get to the middle")
    os.kill(mesh.pid(victim), signal.SIGKILL)
    source.let_go()
    execution = mesh.answer("executions", "watch", begun)
    until(lambda: shown(mesh, begun)["status"] != "STATUS_RUNNING", "the report to be closed")

    assert execution["status"] == "STATUS_COMPLETED"
    return shown(mesh, begun)


def at(mesh, execution_id, leg):
    """Gives how many records a leg has read by now; 0 while it has not begun."""
    execution = asked(mesh, "executions", "show", execution_id)
    return sum(int(one["counts"]["read"]) for one in execution["legs"] if one["leg"] == leg)


def shown(mesh, report_id):
    """Gives a report."""
    return asked(mesh, "reconcile", "show", report_id)


def asked(mesh, *question):
    """Asks, and once more while a process that was killed is not back."""
    return until(
        lambda: mesh.run(*question, "--output", "json"),
        f"an answer to {' '.join(question)}",
        such=lambda done: done.code == 0,
    ).json


def figures(report):
    """Gives the figures of a report that are not zero."""
    names = ("missing", "extra", "different", "equal", "unrelated", "unreadable")
    return {name: int(report[name]) for name in names if int(report[name])}
