"""Records of an older version of the hub are brought over with all that is known of them."""

import shutil
from pathlib import Path

import isthmus.services.records
from isthmus.kit import Database, PageRequest
from isthmus.kit.db import provision
from isthmus.kit.db.migrating import migrate
from isthmus.services.records.store import RecordQueries
from sqlalchemy import text

NEWEST = Path(isthmus.services.records.__file__).parent / "migrations"
OLD = """
    INSERT INTO {} (tenant_id, stream, key, stream_number, change, version, is_deleted, size, content_hash,
        flow_id, execution_id, origin, data)
    SELECT :tenant, 'rows', :key, s.stream_number, :change, :version, false, 9, '', :flow, 'exe_1',
        'files/a/b', :data
    FROM streams AS s WHERE s.tenant_id = :tenant AND s.stream = 'rows'
"""
STREAM = "INSERT INTO streams (tenant_id, stream) VALUES (:tenant, 'rows')"


async def test_records_and_history_keep_their_writers(database: str, tmp_path: Path):
    """
    Present and superseded forms of the version before writers were told apart read the same afterwards.
    """
    place = (await provision(database, {"records": "secret"}))["records"]
    before = shutil.copytree(NEWEST, tmp_path / "migrations")
    for newer in sorted((before / "versions").glob("0*.py"))[5:]:
        newer.unlink()
    db = Database(place.url, "records")
    await migrate(db, place.owner_url, before)
    for tenant in ("tnt_a", "tnt_b"):
        async with db.tenant(tenant) as connection:
            await connection.execute(text(STREAM), {"tenant": tenant})
            row = {"tenant": tenant, "key": "k", "change": 2, "version": 2, "flow": "new"}
            await connection.execute(text(OLD.format("records")), {**row, "data": '{"n":  2.0}'})
            row = {**row, "change": 1, "version": 1, "flow": f"old {tenant}"}
            await connection.execute(text(OLD.format("record_history")), {**row, "data": '{"n": 1}'})

    await migrate(db, place.owner_url, NEWEST)

    for tenant in ("tnt_a", "tnt_b"):
        forms = (await RecordQueries(db).versions(tenant, "rows", "k", PageRequest(10))).items
        told = [(one.data, one.version, one.flow_id, one.execution_id, one.origin) for one in forms]
        assert told == [
            ('{"n":  2.0}', 2, "new", "exe_1", "files/a/b"),
            ('{"n": 1}', 1, f"old {tenant}", "exe_1", "files/a/b"),
        ]
    await db.close()
