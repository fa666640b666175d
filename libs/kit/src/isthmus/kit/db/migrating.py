"""Brings a service's schema up to date; costs one query when it is already."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

from isthmus.kit.db.database import Database
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Precondition
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

_log = logger(__name__)
_REVISION = re.compile(r"^revision\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_PARENT = re.compile(r"^down_revision\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_alembic_is_global = threading.Lock()

_UNPROTECTED = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
      AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1
"""
# A view shows what its owner sees unless it asks as its reader; a materialised one keeps what its owner saw.
_PAST_POLICIES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND (c.relkind = 'm' OR c.relkind = 'v' AND NOT
      coalesce(c.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1}', false))
    ORDER BY 1
"""


async def migrate(database: Database, owner_url: str, folder: Path) -> None:
    """Run the migrations that the schema lacks, one replica at a time.

    Args:
        database: Used to ask for the schema's present version.
        owner_url: PostgreSQL as the schema's owner.
        folder: Alembic's script folder with `versions/`.

    Raises:
        Precondition: `MIGRATION_MISSING`, there is work to do and no owner URL; `MIGRATION_UNKNOWN`,
            the schema is newer than this program; `TABLE_UNPROTECTED`, a table lacks row-level security;
            `VIEW_UNPROTECTED`, a view gets past it.
    """
    revisions, head = _history(folder)
    current = await _current(database)
    if current == head:
        return
    if current is not None and current not in revisions:
        message = f"Start a newer version; the schema {database.service} is at {current}, unknown here."
        raise Precondition("MIGRATION_UNKNOWN", message)
    if not owner_url:
        raise Precondition(
            "MIGRATION_MISSING", f"Set ISTHMUS_DATABASE_OWNER_URL to migrate {database.service}."
        )
    await asyncio.to_thread(_upgrade, owner_url, database.service, folder)
    _log.info("migrated", schema=database.service, from_version=current, to_version=head)


def _history(folder: Path) -> tuple[set[str], str]:
    """Read all revisions and the newest one without loading Alembic."""
    sources = [path.read_text(encoding="utf-8") for path in sorted((folder / "versions").glob("*.py"))]
    revisions = {match.group(1) for source in sources if (match := _REVISION.search(source))}
    parents = {match.group(1) for source in sources if (match := _PARENT.search(source))}
    heads = revisions - parents
    if len(heads) != 1:
        raise Precondition(
            "MIGRATION_AMBIGUOUS", f"Give {folder} one newest revision; it has {sorted(heads)}."
        )
    return revisions, heads.pop()


async def _current(database: Database) -> str | None:
    try:
        async with database.system() as connection:
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            version: str | None = found.scalar_one_or_none()
            return version
    except ProgrammingError:
        return None


def _upgrade(owner_url: str, service: str, folder: Path) -> None:
    from sqlalchemy import NullPool, create_engine, make_url

    engine = create_engine(
        make_url(owner_url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"options": f"-c search_path={service}", "connect_timeout": 5},
    )
    with _alembic_is_global, engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": f"migrate {service}"})
        connection.commit()
        _run_alembic(connection, service, folder)
        bare = connection.execute(text(_UNPROTECTED), {"schema": service}).scalars().all()
        views = connection.execute(text(_PAST_POLICIES), {"schema": service}).scalars().all()
        runtime = f"isthmus_{service}, isthmus_{service}_system"
        connection.execute(text(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {runtime}"))
        connection.commit()
    if bare:
        message = f"Call isolate(op, table) in a migration for {service}: {', '.join(bare)}."
        raise Precondition("TABLE_UNPROTECTED", message)
    if views:
        shown = ", ".join(views)
        message = f"Make these views of {service} with (security_invoker = true), none materialised: {shown}."
        raise Precondition("VIEW_UNPROTECTED", message)


def _run_alembic(connection: Any, service: str, folder: Path) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config(attributes={"service": service})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    def upgrade(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(config, scripts, fn=upgrade, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table_schema=service)
        with environment.begin_transaction():
            environment.run_migrations()


__all__ = ["migrate"]
