"""The backup that documentation describes can be restored."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from isthmus.testing.canaries import canary

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
DOCUMENTS = """
kind: Credential
name: kept
spec: {type: bearer, secret: {env: KEPT}}
---
kind: Instance
name: letters
spec:
  connector: files
  configuration: {streams: [{name: letters, path: letters.jsonl, key: [id]}]}
---
kind: Flow
name: letters
spec:
  source: {instance: letters, stream: letters}
  destination: {instance: hub, stream: letters}
  key: [id]
"""


@pytest.fixture
def shelf():
    """Gives a folder that the user of PostgreSQL may enter."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-restore-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_home_restored_elsewhere_goes_on(own_mesh, shelf):
    """
    Records, credentials and positions are there, and flows run.
    """
    (own_mesh.files / "letters.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    own_mesh.apply(DOCUMENTS, env={"KEPT": canary("kept")})
    own_mesh.ok("sync", "run", "letters", "--watch")
    pack, unpack = re.findall(r"^(?:mkdir restored && )?(tar .*)$", PAGE.read_text(), re.MULTILINE)
    own_mesh.ok("down")

    restored = own_mesh.elsewhere(shelf / "restored")
    restored.home.mkdir(mode=0o711)
    place = {**os.environ, "ISTHMUS_HOME": str(own_mesh.home)}
    for line in (pack, unpack):
        subprocess.run(line, shell=True, cwd=shelf, env=place, check=True, timeout=120)
    restored.ok("up")
    try:
        again = restored.ok("sync", "run", "letters", "--watch", "--output", "json").json
        records = restored.answer("records", "count", "letters")
        credentials = restored.answer("credentials", "list")
    finally:
        restored.run("down")

    assert records == {"records": 2}
    assert int(again["counts"]["created"]) == 0
    assert [item["name"] for item in credentials] == ["kept"]
