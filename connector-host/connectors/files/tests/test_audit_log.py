"""The audit log of a real OpenBao, followed while it is written."""

from pathlib import Path

import httpx
import pytest
from isthmus.connectors.files import Files
from isthmus.sdk.runtime import ReadMode, Session


@pytest.mark.slow
async def test_audit_log_is_followed(vault, monkeypatch):
    """
    Each reading gives what was written since the one before, every entry once.
    """
    log = Path(vault.audit_log)
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(log.parent))
    stream = {"name": "audit", "path": log.name, "format": "jsonl", "key": ["request.id", "type"]}
    position, seen = None, []
    for number in range(3):
        headers = {"X-Vault-Token": vault.root_token}
        httpx.get(f"{vault.address}/v1/secret/data/probe-{number}", headers=headers, verify=vault.trust)
        async with Session(Files, {"streams": [stream]}) as session:
            pages = [
                page
                async for page in await session.read("audit", mode=ReadMode.INCREMENTAL, position=position)
            ]
        position = pages[-1].position
        seen.append([record["request"]["path"] for page in pages for record in page.records])

    for number, paths in enumerate(seen):
        probes = [path for path in paths if "probe" in path]
        assert probes == [f"secret/data/probe-{number}"] * 2
