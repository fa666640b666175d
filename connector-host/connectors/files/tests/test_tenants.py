"""Tenants on one file system."""

import pytest
from isthmus.connectors.files import Files
from isthmus.sdk import NotFound
from isthmus.sdk.runtime import ReadMode, Session, WriteMode

OUT = {"streams": [{"name": "out", "path": "out.jsonl", "key": ["id"]}]}


async def test_a_tenant_does_not_find_the_files_of_another(tmp_path, monkeypatch):
    """
    The same path means another file for each tenant.
    """
    monkeypatch.setenv("ISTHMUS_FILES_ROOT", str(tmp_path))
    async with Session(Files, OUT, tenant_id="tnt_a") as session:
        await session.write("out", [{"id": 1}], keys=["1"], mode=WriteMode.UPSERT)

    async with Session(Files, OUT, tenant_id="tnt_b") as session:
        with pytest.raises(NotFound):
            async for _ in await session.read("out", mode=ReadMode.FULL):
                pass

    assert (tmp_path / "tnt_a" / "out.jsonl").read_text() == '{"id":1}\n'
