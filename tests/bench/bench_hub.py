"""How fast the hub takes records: `python tests/bench/bench_hub.py [records]`.

A real records service in a process of its own, over gRPC, on a durable PostgreSQL, beside the plain thing a
careful author would write against the same server: COPY into a temporary table, then INSERT … ON CONFLICT
guarded by IS DISTINCT FROM, in batches of 1,000. The hub also keeps history, positions and events. Both take
turns, so only the ratios count on a busy machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import psycopg
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as pb_grpc
from isthmus.kit.db import provision
from isthmus.local.backends import EmbeddedNats, EmbeddedPostgres
from isthmus.local.backends.ports import free_port
from isthmus.testing.identity import KeyRing
from isthmus.type.v1 import batch_pb2

BATCH = 1000
PHASES = (("new", 0), ("unchanged", 0), ("changed", 1))


def record(number: int, salt: int) -> bytes:
    """About 750 bytes of incident, nested as a vendor's are."""
    person = {"id": f"usr{number % 9973:05}", "name": f"Person {number % 9973}", "vip": number % 7 == 0}
    incident = {
        "id": f"INC{number:08}",
        "title": f"Disk usage above threshold on host-{number % 500}",
        "state": ("new", "open", "closed")[number % 3],
        "salt": salt,
        "opened_at": f"2026-01-0{number % 9 + 1}T10:{number % 60:02}:00Z",
        "closed_at": None,
        "caller": {**person, "email": f"person{number % 9973}@example.com"},
        "assignment": {"group": f"Service Desk {number % 20}", "sla": {"breached": False, "left": number}},
        "tags": ["disk", "capacity", f"host-{number % 500}"],
        "description": "The volume has less free space than its owner agreed to. " * 6,
    }
    return json.dumps(incident).encode()


def batches(count: int, salt: int) -> list[tuple[list[str], list[bytes]]]:
    """Make keys and records in batches."""
    return [
        ([f"INC{n:08}" for n in range(at, at + BATCH)], [record(n, salt) for n in range(at, at + BATCH)])
        for at in range(0, count, BATCH)
    ]


@asynccontextmanager
async def hub(home: Path, admin_url: str) -> AsyncIterator[tuple[Callable[[], Any], int]]:
    """Run the records service in a process of its own; gives what opens a write, and the process's id."""
    nats = EmbeddedNats(home, fast=True)
    nats.start()
    keys, place = KeyRing(home), (await provision(admin_url, {"records": "bench"}))["records"]
    signer, address = keys.signer("host:bench"), f"127.0.0.1:{free_port()}"
    environment = {
        "ISTHMUS_LISTEN": address,
        "ISTHMUS_DATABASE_URL": place.url,
        "ISTHMUS_DATABASE_OWNER_URL": place.owner_url,
        "ISTHMUS_NATS_URL": nats.url,
        "ISTHMUS_TRUST_FILE": str(keys.trust_file),
        "ISTHMUS_SERVICE_KEY_FILE": str(keys.key_file("service:records")),
        "ISTHMUS_IDENTITY_ADDRESS": "127.0.0.1:1",
        "ISTHMUS_SCHEDULING_ADDRESS": "127.0.0.1:1",
        "ISTHMUS_LOG_LEVEL": "ERROR",
    }
    command = (sys.executable, "-m", "isthmus.services.records")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    metadata = (("authorization", f"Bearer {signer.token()}"), ("isthmus-tenant", "tnt_bench"))
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = pb_grpc.ConnectorServiceStub(channel)
            await _answering(stub, metadata)
            yield lambda: stub.Write(metadata=metadata), process.pid
    finally:
        process.terminate()
        await process.wait()
        nats.kill()


async def _answering(stub: pb_grpc.ConnectorServiceStub, metadata: tuple[tuple[str, str], ...]) -> None:
    """Wait until the service has brought its schema up to date."""
    async with asyncio.timeout(60):
        while True:
            try:
                await stub.Describe(pb.DescribeRequest(), metadata=metadata, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.1)
            else:
                return


async def through_hub(open_write, token: int, work) -> None:
    """Write everything as one attempt, using the whole credit."""
    call = open_write()
    binding = pb.Binding(instance_id="hub")
    opened = pb.WriteOpen(binding=binding, stream="incident", flow_id="flw_bench", fencing_token=token)
    await call.write(pb.WriteRequest(open=opened))
    credit = asyncio.Semaphore((await call.read()).ready.credit)

    async def send() -> None:
        for sequence, (keys, records) in enumerate(work, 1):
            await credit.acquire()
            batch = batch_pb2.Batch(sequence=sequence, keys=keys, records=records)
            await call.write(pb.WriteRequest(batch=batch))
        await call.done_writing()

    sending = asyncio.create_task(send())
    while await call.read() is not grpc.aio.EOF:
        credit.release()
    await sending


def plainly(url: str, work) -> None:
    """Do what the docstring of this module calls the plain thing."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS plain (key text PRIMARY KEY, data jsonb NOT NULL)")
        cursor.execute("CREATE TEMP TABLE staging (key text, data jsonb) ON COMMIT DELETE ROWS")
        connection.commit()
        for keys, records in work:
            escaped = (line.replace(b"\\", b"\\\\") for line in records)
            rows = [b"%b\t%b\n" % (key.encode(), line) for key, line in zip(keys, escaped, strict=True)]
            with cursor.copy("COPY staging FROM STDIN") as copy:
                copy.write(b"".join(rows))
            cursor.execute(
                "INSERT INTO plain AS p SELECT * FROM staging ON CONFLICT (key) DO UPDATE "
                "SET data = excluded.data WHERE p.data IS DISTINCT FROM excluded.data"
            )
            connection.commit()


def cpu(pid: int) -> float:
    """Seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(count: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        postgres = EmbeddedPostgres(home)
        postgres.start()
        say(f"{'records':>10} {'hub/s':>9} {'plain/s':>9} {'ratio':>6} {'hub process, µs CPU a record':>30}")
        try:
            async with hub(home, postgres.admin_url) as (open_write, pid):
                for token, (phase, salt) in enumerate(PHASES, 1):
                    work = batches(count, salt)
                    used, start = cpu(pid), time.perf_counter()
                    await through_hub(open_write, token, work)
                    ours, used = time.perf_counter() - start, cpu(pid) - used
                    start = time.perf_counter()
                    await asyncio.to_thread(plainly, postgres.admin_url, work)
                    plain = time.perf_counter() - start
                    figures = f"{count / ours:9,.0f} {count / plain:9,.0f} {plain / ours:6.2f}"
                    say(f"{phase:>10} {figures} {used / count * 1e6:30.1f}")
        finally:
            postgres.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
