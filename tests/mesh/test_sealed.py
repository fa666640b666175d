"""A vault that is sealed, or starts anew, in the middle of syncs: what runs goes on, what is new waits."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from isthmus.kit.authorities import trusting
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

TOTAL, PAGE = 60, 10
WAITING = {"VAULT_SEALED", "VAULT_UNREACHABLE"}
DOCUMENTS = """
kind: Credential
name: sealed-{name}
spec: {{type: bearer, secret: {{env: SEALED_TOKEN}}}}
---
kind: Instance
name: sealed-{name}
spec:
  connector: http-json
  credential: sealed-{name}
  configuration:
    base_url: "{url}"
    streams:
      - name: items
        path: /{name}
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Flow
name: sealed-{name}
spec:
  source: {{instance: sealed-{name}, stream: items}}
  destination: {{instance: hub, stream: sealed-{name}}}
  key: [id]
"""


class Bao:
    """The mesh's own OpenBao, as somebody who has its recovery key and its root token."""

    def __init__(self, mesh):
        place = json.loads((mesh.home / "mesh.json").read_text())["openbao"]
        self._keys = json.loads((mesh.home / "openbao/root.json").read_text())
        self._client = httpx.Client(
            base_url=place["address"],
            headers={"X-Vault-Token": self._keys["root_token"]},
            verify=trusting(Path(place["ca_file"])),
        )

    @contextmanager
    def sealed(self):
        """Seals it for a while."""
        self._client.put("/v1/sys/seal").raise_for_status()
        try:
            yield
        finally:
            key = {"key": self._keys["recovery_keys"][0]}
            self._client.put("/v1/sys/unseal", json=key).raise_for_status()


@pytest.fixture
def bao(mesh):
    return Bao(mesh)


@pytest.fixture
def flow(mesh, vendor):
    """Makes a flow with a credential of its own, whose vendor gives the first page and then waits."""
    gates = []

    def made(name, *, is_open=False):
        vendor.serve_pages(f"/{name}", TOTAL, PAGE, lambda number: {"id": number})
        route, gate = vendor.routes[f"/{name}"], threading.Event()
        gates.append(gate)

        def answer(query):
            if "after" in query:
                gate.wait(120)
            return route(query)

        vendor.routes[f"/{name}"] = answer
        mesh.apply(DOCUMENTS.format(name=name, url=vendor.url), env={"SEALED_TOKEN": "token"})
        if is_open:
            gate.set()
        return gate

    yield made
    for gate in gates:
        gate.set()


def started(mesh, name):
    return mesh.answer("sync", "run", f"sealed-{name}")["execution_id"]


def shown_once(mesh, execution, condition, what):
    """Waits until an execution is as it should be, and gives it."""
    return until(lambda: mesh.answer("executions", "show", execution), what, such=condition)


def is_read(shown):
    return int(shown["counts"].get("read", 0)) >= PAGE


def ended(mesh, execution):
    """Waits for the end of an execution, and gives it."""
    mesh.run("executions", "watch", execution, "--output", "json", timeout=200)
    return mesh.answer("executions", "show", execution)


def is_over(shown):
    return shown["status"].endswith(("COMPLETED", "FAILED"))


def is_whole(shown):
    """Tells whether everything has arrived, and nothing twice."""
    counts = shown["counts"]
    return shown["status"].endswith("COMPLETED") and int(counts["read"]) == int(counts["created"]) == TOTAL


def test_a_sealed_vault_stops_nothing_that_runs_and_loses_nothing_that_waits(mesh, flow, bao):
    """
    The reason is in the status of what waits, and in what the doctor says; unsealing is all there is to do.
    """
    gate = flow("running")
    flow("waiting", is_open=True)
    running = started(mesh, "running")
    shown_once(mesh, running, is_read, "the sync to begin")

    with bao.sealed():
        gate.set()
        done = ended(mesh, running)
        os.kill(mesh.pid("host-http-json"), signal.SIGKILL)  # what it has borrowed goes with it
        waiting = started(mesh, "waiting")
        shown = shown_once(mesh, waiting, lambda one: one.get("error"), "somebody to say what it waits for")
        doctor = mesh.run("secrets", "status", "--output", "json")

    assert is_whole(done)
    assert not is_over(shown)
    assert shown["error"]["reason"] in WAITING
    assert (doctor.code, doctor.json[0]["usable"]) == (1, False)
    assert is_whole(ended(mesh, waiting))


def test_a_vault_that_starts_anew_is_noticed_by_nobody_who_runs(mesh, flow):
    """
    It unseals itself; what begins meanwhile takes a little longer.
    """
    gate = flow("restarting")
    flow("beginning", is_open=True)
    running = started(mesh, "restarting")
    shown_once(mesh, running, is_read, "the sync to begin")

    os.kill(mesh.pid("openbao"), signal.SIGKILL)
    beginning = started(mesh, "beginning")
    gate.set()

    assert is_whole(ended(mesh, running))
    assert is_whole(ended(mesh, beginning))
