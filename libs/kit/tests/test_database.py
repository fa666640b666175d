import asyncio
import shutil

import psycopg
import pytest
from isthmus.kit import Database
from isthmus.kit.db import migrating, provision
from isthmus.kit.db.migrating import migrate
from isthmus.kit.errors import fault_of
from isthmus.kit.janitor import Janitor
from isthmus.resilience import faults
from sqlalchemy import exc, text

ADD = text("INSERT INTO note VALUES (:tenant, :id, 'x')")
COUNT = text("SELECT count(*) FROM note")


async def add(db, tenant, note="n1"):
    async with db.tenant(tenant) as conn:
        await conn.execute(ADD, {"tenant": tenant, "id": note})


async def settle(database):
    """Make everything durable: the test server itself commits without waiting for its files."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("CHECKPOINT")


async def count(opening):
    async with opening as conn:
        return (await conn.execute(COUNT)).scalar_one()


async def test_tenants_do_not_see_one_another(db):
    """
    A tenant's transaction reads its own rows only; the system role reads all.
    """
    await add(db, "tnt_a")
    await add(db, "tnt_b")
    await add(db, "tnt_b", "n2")

    counts = [await count(opening) for opening in (db.tenant("tnt_a"), db.tenant("tnt_b"), db.system())]

    assert counts == [1, 2, 3]


async def test_tenant_cannot_write_for_another(db):
    """
    Writing a row of another tenant fails in the database itself.
    """
    with pytest.raises(exc.ProgrammingError, match="row-level security"):
        async with db.tenant("tnt_a") as conn:
            await conn.execute(ADD, {"tenant": "tnt_b", "id": "n1"})


async def test_other_tenants_rows_survive_update_and_delete(db):
    """
    Update and delete without a condition touch the tenant's own rows only.
    """
    await add(db, "tnt_a")
    await add(db, "tnt_b")
    async with db.tenant("tnt_a") as conn:
        updated = await conn.execute(text("UPDATE note SET body = 'mine'"))
        deleted = await conn.execute(text("DELETE FROM note"))

    assert (updated.rowcount, deleted.rowcount) == (1, 1)
    assert await count(db.system()) == 1


async def test_tenant_does_not_stick_to_a_connection(urls, db):
    """
    The next transaction on the same connection belongs to nobody until it says so.
    """
    single = Database(urls.url, "notes", pool=1, burst=0)
    await add(single, "tnt_a")
    async with single._engine.begin() as conn:
        left = (await conn.execute(COUNT)).scalar_one()
    await single.close()

    assert left == 0


async def test_shared_rows_are_read_by_all_and_written_by_none(db):
    """
    Rows of the tenant `*` are visible to every tenant, and only the system writes them.
    """
    word = text("INSERT INTO word VALUES ('*', 'w', 'shared')")
    async with db.system() as conn:
        await conn.execute(word)
    async with db.tenant("tnt_a") as conn:
        seen = (await conn.execute(text("SELECT body FROM word"))).scalars().all()
        changed = (await conn.execute(text("UPDATE word SET body = 'stolen'"))).rowcount

    with pytest.raises(exc.ProgrammingError, match="row-level security"):
        async with db.tenant("tnt_a") as conn:
            await conn.execute(text("INSERT INTO word VALUES ('*', 'w2', 'forged')"))

    assert (seen, changed) == (["shared"], 0)


async def test_runtime_role_owns_and_bypasses_nothing(urls, db):
    """
    The role a service runs as cannot switch isolation off.
    """
    for statement in (
        "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON note",
        "SET ROLE postgres",
    ):
        with pytest.raises(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(urls.url) as conn:
                await conn.execute(f"SET search_path = notes; {statement}")


async def test_transaction_without_tenant_is_refused(db):
    """
    A caller that acts for no tenant gets no transaction.
    """
    with pytest.raises(faults.NotAuthenticated):
        db.tenant("")


async def test_error_shows_no_parameters(db):
    """
    What was bound to a statement stays out of the error's text.
    """
    await add(db, "tnt_a", "hunter2")
    with pytest.raises(exc.IntegrityError) as caught:
        await add(db, "tnt_a", "hunter2")

    from isthmus.kit.logs import safe_text

    assert "hunter2" not in safe_text(caught.value)
    assert fault_of(caught.value).reason == "ALREADY_EXISTS"


async def test_restart_of_postgres_heals_by_itself(postgres, database, db):
    """
    After kill -9 of PostgreSQL one transaction fails as unreachable, and afterwards all is as before.
    """
    await add(db, "tnt_a")
    await settle(database)
    postgres.kill()
    with pytest.raises(exc.OperationalError) as caught:
        await count(db.tenant("tnt_a"))
    postgres.start()

    assert fault_of(caught.value).reason == "DATABASE_UNREACHABLE"
    assert await count(db.tenant("tnt_a")) == 1


async def test_restart_between_two_transactions_is_not_noticed(postgres, database, db):
    """
    Connections that died while idle are replaced before they are used.
    """
    await add(db, "tnt_a")
    await settle(database)
    postgres.kill()
    postgres.start()

    assert await count(db.tenant("tnt_a")) == 1


async def test_transaction_cut_by_a_restart_is_unreachable(postgres, db):
    """
    A transaction that was open when PostgreSQL died is reported as retryable.
    """

    async def cut():
        async with db.tenant("tnt_a") as conn:
            await conn.execute(COUNT)
            postgres.kill()
            postgres.start()
            await conn.execute(COUNT)

    with pytest.raises(exc.DBAPIError) as caught:
        await cut()

    assert isinstance(fault_of(caught.value), faults.RetryLater)


async def test_slow_statement_is_ended(urls, db):
    """
    A statement above its limit is out of time, not endless.
    """
    hasty = Database(urls.url, "notes", statement_timeout=0.05)
    with pytest.raises(exc.OperationalError) as caught:
        async with hasty.tenant("tnt_a") as conn:
            await conn.execute(text("SELECT pg_sleep(5)"))
    await hasty.close()

    assert fault_of(caught.value).reason == "DATABASE_TOO_SLOW"


async def test_cancelled_work_gives_its_connection_back(urls, db):
    """
    Cancelling a call in the middle of a statement does not use up the pool.
    """
    single = Database(urls.url, "notes", pool=1, burst=0)

    async def sleep():
        async with single.tenant("tnt_a") as conn:
            await conn.execute(text("SELECT pg_sleep(30)"))

    for _ in range(3):
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})

    assert await count(single.tenant("tnt_a")) == 0
    await single.close()


async def test_provision_is_repeatable(database, urls):
    """
    Provisioning again changes nothing and gives the same addresses.
    """
    again = await provision(database, {"notes": "secret"})

    assert again["notes"] == urls
    assert urls.url != urls.owner_url


async def test_migration_runs_once_however_many_replicas_start(urls, sample):
    """
    Replicas that start together migrate one after another, and only one has work to do.
    """
    databases = [Database(urls.url, "notes", pool=1) for _ in range(3)]
    await asyncio.gather(*(migrate(one, urls.owner_url, sample) for one in databases))

    assert await count(databases[0].tenant("tnt_a")) == 0
    for one in databases:
        await one.close()


async def test_migrated_schema_costs_one_query(urls, db, sample, monkeypatch):
    """
    At the newest revision neither Alembic nor the owner's address is needed.
    """
    monkeypatch.setattr(migrating, "_upgrade", None)

    await migrate(db, "", sample)


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        ("TABLE bare (id text)", "bare"),
        ("VIEW everything AS SELECT * FROM note", "everything"),
        ("VIEW everything WITH (security_invoker = false) AS SELECT * FROM note", "everything"),
        ("MATERIALIZED VIEW everything AS SELECT * FROM note", "everything"),
    ],
)
async def test_what_gets_past_isolation_is_refused(urls, db, sample, tmp_path, made, refused):
    """
    A migration that forgets row-level security, or makes a view that ignores it, does not pass.
    """
    folder = tmp_path / "migrations"
    shutil.copytree(sample, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_bare.py").write_text(
        "from alembic import op\nrevision = '0002'\ndown_revision = '0001'\n\n"
        f"def upgrade():\n    op.execute('CREATE {made}')\n"
    )

    with pytest.raises(faults.Precondition, match=refused):
        await migrate(db, urls.owner_url, folder)


async def test_a_view_that_asks_as_its_reader_passes(urls, db, sample, tmp_path):
    """
    Policies hold for whoever reads it.
    """
    folder = tmp_path / "migrations"
    shutil.copytree(sample, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_view.py").write_text(
        "from alembic import op\nrevision = '0002'\ndown_revision = '0001'\n\n"
        "def upgrade():\n    op.execute('CREATE VIEW mine WITH (security_invoker) AS SELECT * FROM note')\n"
        "    op.execute('GRANT SELECT ON mine TO PUBLIC')\n"
    )

    await migrate(db, urls.owner_url, folder)

    async with db.tenant("tnt_a") as a, db.tenant("tnt_b") as b:
        await a.execute(text("INSERT INTO note VALUES ('tnt_a', '1', 'x')"))
        assert (await a.execute(text("SELECT count(*) FROM mine"))).scalar_one() == 1
        assert (await b.execute(text("SELECT count(*) FROM mine"))).scalar_one() == 0


async def test_schema_from_the_future_is_refused(urls, db, sample, tmp_path):
    """
    An older program does not touch a newer schema.
    """
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "old.py").write_text("revision = '0000'\ndown_revision = None\n")

    with pytest.raises(faults.Precondition, match="0001"):
        await migrate(db, urls.owner_url, tmp_path)


async def test_janitor_removes_the_old_and_keeps_the_rest(db):
    """
    Sent messages go after a day, remembered events and answers later; what waits is never touched.
    """
    rows = {
        "outbox (tenant_id, id, subject, body, sent_at)": "'s', '{}', now() - interval '2 days'",
        "inbox (tenant_id, event_id, consumer, handled_at)": "'', now() - interval '10 days'",
        "idempotency (tenant_id, request_id, rpc, fingerprint, created_at)": (
            "'', '', now() - interval '8 days'"
        ),
    }
    async with db.system() as conn:
        for target, old in rows.items():
            fresh = old.split("now()")[0] + ("NULL" if target.startswith("outbox") else "now()")
            for key, values in (("old", old), ("fresh", fresh)):
                await conn.execute(text(f"INSERT INTO {target} VALUES ('tnt_a', '{key}', {values})"))
    await Janitor(db).sweep()
    async with db.system() as conn:
        left = [
            (await conn.execute(text(f"SELECT {key} FROM {table}"))).scalars().all()
            for table, key in (("outbox", "id"), ("inbox", "event_id"), ("idempotency", "request_id"))
        ]

    assert left == [["fresh"]] * 3
