"""The limit to measure against: what one file, written by hand for exactly this job, can do.

A thread fetches pages with curl, decodes only the fields that are needed into structs and formats them
as COPY text; two connections take turns, one copying its batch while the other upserts, in order.

    reference.py SOURCE_URL DATABASE_URL TABLE [plain]
"""

import json
import queue
import sys
import threading
import time
from io import BytesIO

import msgspec
import psycopg
import pycurl

BATCH = 5_000
ATTEMPTS = 6
PRIORITIES = {"1": "critical", "2": "high", "3": "moderate", "4": "low", "5": "planning"}
STATES = {"1": "new", "2": "in_progress", "3": "on_hold", "6": "resolved", "7": "closed"}


class Caller(msgspec.Struct, gc=False):
    name: str
    email: str


class Group(msgspec.Struct, gc=False):
    name: str


class Incident(msgspec.Struct, gc=False):
    sys_id: str
    number: str
    short_description: str
    priority: str
    state: str
    category: str
    opened_at: str
    sys_updated_on: str
    resolved_at: str | None
    caller: Caller
    assignment_group: Group
    tags: list[str]


class Page(msgspec.Struct, gc=False):
    next: str | None
    items: list[Incident]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def clean(text: str) -> str:
    return escaped(text) if "\\" in text or not text.isprintable() else text


def line(i: Incident) -> str:
    resolved = "\\N" if i.resolved_at is None else i.resolved_at + "Z"
    title, caller, tags = clean(i.short_description), clean(i.caller.name), clean(", ".join(i.tags))
    return (
        f"{i.sys_id}\t{i.number}\t{i.number}: {title}\t{PRIORITIES[i.priority]}\t{STATES[i.state]}\t"
        f"{clean(i.category)}\t{i.opened_at}Z\t{i.sys_updated_on}Z\t{resolved}\t{caller}\t"
        f"{clean(i.caller.email)}\t{clean(i.assignment_group.name)}\t{tags}\n"
    )


def fetch(curl: pycurl.Curl, url: str) -> bytes:
    for attempt in range(ATTEMPTS):
        body, wait = BytesIO(), 0.05 * 2**attempt
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.WRITEDATA, body)
        try:
            curl.perform()
            status = curl.getinfo(pycurl.RESPONSE_CODE)
            if status == 200:
                return body.getvalue()
            wait = 1.0 if status == 429 else wait
        except pycurl.error:
            pass
        time.sleep(wait)
    raise RuntimeError(f"{url} keeps failing")


def read(url: str, batches: "queue.Queue[bytes]") -> None:
    curl, decode = pycurl.Curl(), msgspec.json.Decoder(Page).decode
    curl.setopt(pycurl.BUFFERSIZE, 512 * 1024)
    after: str | None = "0"
    lines: list[str] = []
    while after is not None:
        page = decode(fetch(curl, f"{url}/incidents?after={after}"))
        after = page.next
        lines += map(line, page.items)
        if len(lines) >= BATCH or after is None:
            batches.put("".join(lines).encode())
            lines = []
    batches.put(b"")


class Turns:
    """Lets batches be copied side by side and take effect one after the other."""

    def __init__(self, batches: "queue.Queue[bytes]") -> None:
        self.batches, self.taken, self.done = batches, 0, 0
        self.taking, self.turn = threading.Lock(), threading.Condition()

    def take(self) -> tuple[int, bytes]:
        with self.taking:
            batch = self.batches.get()
            if not batch:
                self.batches.put(b"")
            self.taken += 1
            return self.taken - 1, batch


def write(turns: Turns, database: str, table: str) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE staging (LIKE {table}) ON COMMIT DELETE ROWS")
        cursor.execute("SELECT * FROM staging")
        columns = [column.name for column in cursor.description or ()]
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        upsert = (
            f"INSERT INTO {table} AS t SELECT {{}} FROM staging {{}} "
            f"ON CONFLICT (id) DO UPDATE SET {changes} WHERE (t.*) IS DISTINCT FROM (excluded.*)"
        )
        connection.commit()
        number, batch = turns.take()
        while batch:
            with cursor.copy("COPY staging FROM STDIN") as copy:
                copy.write(batch)
            with turns.turn:
                while turns.done != number:
                    turns.turn.wait()
            try:
                cursor.execute(upsert.format("*", ""))
            except psycopg.errors.CardinalityViolation:  # a page came twice: the last one counts
                connection.rollback()
                with cursor.copy("COPY staging FROM STDIN") as copy:
                    copy.write(batch)
                cursor.execute(upsert.format("DISTINCT ON (id) *", "ORDER BY id, ctid DESC"))
            connection.commit()
            with turns.turn:
                turns.done += 1
                turns.turn.notify_all()
            number, batch = turns.take()


def load(batches: "queue.Queue[bytes]", database: str, table: str) -> None:
    """Fills an empty table: nothing to compare with, one COPY, one commit."""
    with (
        psycopg.connect(database) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN") as copy,
    ):
        while batch := batches.get():
            copy.write(batch)


def main() -> None:
    url, database, table, *kind = sys.argv[1:]
    batches: queue.Queue[bytes] = queue.Queue(maxsize=3)
    turns = Turns(batches)
    begun, used = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=read, args=(url, batches))]
    if kind == ["plain"]:
        threads.append(threading.Thread(target=load, args=(batches, database, table)))
    else:
        threads += [threading.Thread(target=write, args=(turns, database, table)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - used}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
