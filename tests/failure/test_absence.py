"""Hosts that are killed between the last batch of a full reading and the end that removes what is absent."""

import json
import os
import signal

import psycopg
import pytest
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

TOTAL = 2_000
GONE = 100
PAGE = 250
SECRET = "shelf-password"
DOCUMENTS = """
kind: Instance
name: shelf-source
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: books
        path: /books
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Credential
name: shelf
spec: {{type: basic, username: shelf, secret: {{env: SHELF_PASSWORD}}}}
---
kind: Instance
name: shelf
spec:
  connector: postgres
  credential: shelf
  configuration: {{host: "{host}", port: {port}, database: shelf, sslmode: disable}}
---
kind: Mapping
name: shelf
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: title}}
---
kind: Flow
name: shelf
spec:
  source: {{instance: shelf-source, stream: books}}
  mapping: shelf
  destination: {{instance: shelf, stream: books}}
  key: [id]
  read_mode: full
  deletes: {{absent: true}}
"""
# A table that notes every effect on another one.
TABLES = """
CREATE TABLE books (id text PRIMARY KEY, title text);
CREATE TABLE effects (id text, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO effects VALUES (coalesce(new.id, old.id), tg_op); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON books FOR EACH ROW EXECUTE FUNCTION note();
"""
WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


class Shelf:
    """A database of its own on the mesh's server, seen past all services."""

    def __init__(self, mesh):
        place = json.loads((mesh.home / "mesh.json").read_text())["postgres"]
        password = (mesh.home / "postgres" / "admin.password").read_text().strip()
        self.place = {"host": place["host"], "port": place["port"]}
        self._reach = {**self.place, "user": "isthmus_admin", "password": password, "autocommit": True}
        with psycopg.connect(dbname="postgres", **self._reach) as connection:
            connection.execute(f"CREATE ROLE shelf LOGIN PASSWORD '{SECRET}'")
            connection.execute("CREATE DATABASE shelf OWNER shelf")
        owner = {**self.place, "user": "shelf", "password": SECRET}
        with psycopg.connect(dbname="shelf", **owner) as connection:
            connection.execute(TABLES)

    def connect(self):
        """Opens a connection that sees everything."""
        return psycopg.connect(dbname="shelf", **self._reach)

    def ask(self, query):
        """Gives all rows."""
        with self.connect() as connection:
            return connection.execute(query).fetchall()

    def do(self, statement):
        """Carries out what gives no rows."""
        with self.connect() as connection:
            connection.execute(statement)


def test_nothing_is_deleted_twice_or_by_mistake_whoever_dies_before_the_end(mesh, vendor):
    """
    Everything has arrived, and the end waits behind a lock. There the destination's host dies, then the
    source's; then the lock is given back. Each absent record goes once, by one of three that have asked.
    """
    shelf, shift = Shelf(mesh), 0
    vendor.serve_pages("/books", TOTAL, PAGE, lambda n: {"id": str(n + shift), "title": f"book {n + shift}"})
    text = DOCUMENTS.format(url=vendor.url, **shelf.place)
    mesh.apply(text, env={"SHELF_PASSWORD": SECRET})
    mesh.answer("sync", "run", "shelf", "--watch")
    flow_id = mesh.answer("flows", "show", "shelf")["flow_id"]
    shelf.do("TRUNCATE effects")
    shift = GONE

    with shelf.connect() as lock:
        lock.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (flow_id,))
        begun = mesh.answer("sync", "run", "shelf")["execution_id"]
        asked = waiting(shelf, set())
        for victim in ("host-postgres", "host-http-json"):
            os.kill(mesh.pid(victim), signal.SIGKILL)
            asked |= waiting(shelf, asked)
        early = shelf.ask("SELECT count(*) FROM effects WHERE what = 'DELETE'")
    execution = mesh.answer("executions", "watch", begun)

    effects = shelf.ask("SELECT what, count(*), count(DISTINCT id) FROM effects GROUP BY what ORDER BY what")
    rows = shelf.ask("SELECT count(*), min(id::int), max(id::int) FROM books")
    assert execution["status"] == "STATUS_COMPLETED"
    assert int(execution["attempts"]) > 1
    assert early == [(0,)]
    assert effects == [("DELETE", GONE, GONE), ("INSERT", GONE, GONE)]
    assert rows == [(TOTAL, GONE, TOTAL + GONE - 1)]
    assert {name: int(execution["counts"][name]) for name in ("read", "created", "unchanged", "deleted")} == {
        "read": TOTAL + GONE,
        "created": GONE,
        "unchanged": TOTAL - GONE,
        "deleted": GONE,
    }


def waiting(shelf, known):
    """Waits until somebody else asks for the end, and gives who it is."""
    return until(
        lambda: {pid for (pid,) in shelf.ask(WAITING)} - known, "somebody to ask for the end of the reading"
    )
