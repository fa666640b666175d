"""PostgreSQL and NATS outside of the mesh, where their ways can be cut and their disks slowed down."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from isthmus.local.backends import EmbeddedNats, EmbeddedPostgres
from isthmus.local.backends.base import start_all

__all__ = ["MESH_DATABASE", "WAREHOUSE", "Servers"]

MESH_DATABASE = "isthmus"
WAREHOUSE = "warehouse"
_PULSE_SECONDS = 0.3
_START_SECONDS = 120.0
# Every effect on the table is taken down in the transaction that has it.
_WAREHOUSE_TABLES = """
create table incidents (id text primary key, title text, priority text, state text);
create table archive (like incidents including all);
create table effects (
    number bigint generated always as identity, place text, operation text, id text, state jsonb
);
create function take_down() returns trigger language plpgsql as $$
begin
    insert into public.effects (place, operation, id, state) values (
        tg_table_name, tg_op, coalesce(new.id, old.id), case when tg_op <> 'DELETE' then to_jsonb(new) end);
    return null;
end $$;
create trigger take_down after insert or update or delete on incidents
    for each row execute function take_down();
create trigger take_down after insert or update or delete on archive
    for each row execute function take_down();
create role loader login password 'loader';
grant create, usage on schema public to loader;
grant all on all tables in schema public to loader;
"""


class Servers:
    """Both servers, and what may befall them; start them from a thread that stays.

    Args:
        folder: For their data.
    """

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder)
        self.nats = EmbeddedNats(folder)
        self._backends = {"postgres": self.postgres, "nats": self.nats}

    def start(self) -> None:
        """Start both and make the databases."""
        start_all([self.postgres, self.nats], _START_SECONDS)
        with psycopg.connect(self.postgres.admin_url, autocommit=True) as connection:
            for name in (MESH_DATABASE, WAREHOUSE):
                connection.execute(f"create database {name}")
        with psycopg.connect(self.database(WAREHOUSE), autocommit=True) as connection:
            connection.execute(_WAREHOUSE_TABLES)

    def stop(self) -> None:
        """End both."""
        for backend in self._backends.values():
            backend.kill()

    def owns(self, name: str) -> bool:
        """Tell whether a process is one of these."""
        return name in self._backends

    def kill(self, name: str) -> Callable[[], None]:
        """End a server as a crash would; what it gives starts it again, as its service manager would."""
        backend = self._backends[name]
        backend.kill()
        return lambda: backend.start(_START_SECONDS)

    def lose_store(self) -> Callable[[], None]:
        """End NATS and remove everything it has stored; what it gives starts it again."""
        start_again = self.kill("nats")
        shutil.rmtree(self.nats.folder / "jetstream")
        return start_again

    def freeze(self, name: str) -> Callable[[], None]:
        """Stop a server with all its processes; what it gives lets them go on."""
        processes = self._processes(name)
        _send(processes, signal.SIGSTOP)
        return lambda: _send(processes, signal.SIGCONT)

    def slow_disk(self) -> Callable[[], None]:
        """Let every flush of the log take longer; what it gives takes that back."""
        self._set({"commit_delay": "100000", "commit_siblings": "0"})
        return lambda: self._set({"commit_delay": "0", "commit_siblings": "5"})

    def stall(self) -> Callable[[], None]:
        """Let PostgreSQL stand still over and over; what it gives ends that."""
        over = threading.Event()
        pulsing = threading.Thread(target=self._pulse, args=(over,))
        pulsing.start()

        def end() -> None:
            over.set()
            pulsing.join()

        return end

    def database(self, name: str, port: int = 0) -> str:
        """Give the superuser's URL of a database, through another port if one is given."""
        parts = urlsplit(self.postgres.admin_url)
        place = parts.netloc if not port else f"{parts.netloc.rpartition(':')[0]}:{port}"
        return urlunsplit(parts._replace(netloc=place, path=f"/{name}"))

    def nats_url(self, port: int) -> str:
        """Give the address of NATS through a port."""
        return f"{self.nats.url.rpartition(':')[0]}:{port}"

    def _processes(self, name: str) -> list[int]:
        head = self._backends[name].pid
        if not head:
            return []
        # Those below first, so that the one above sees nothing in between.
        return [*(child.pid for child in psutil.Process(head).children(recursive=True)), head]

    def _pulse(self, over: threading.Event) -> None:
        while not over.is_set():
            go_on = self.freeze("postgres")
            over.wait(_PULSE_SECONDS)
            go_on()
            over.wait(_PULSE_SECONDS)

    def _set(self, settings: Mapping[str, str]) -> None:
        with psycopg.connect(self.postgres.admin_url, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(f"alter system set {name} = {value}")
            connection.execute("select pg_reload_conf()")


def _send(processes: Sequence[int], number: signal.Signals) -> None:
    for pid in processes:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
