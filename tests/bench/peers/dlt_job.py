"""The job with dlt: `dlt_job.py rest_api|arrow SOURCE_URL DATABASE_URL SCHEMA FOLDER`.

`rest_api` is the declarative source, with a function for the mapping, as its documentation shows.
`arrow` is dlt at its best: tables built by hand from decoded structs, so that dlt handles no record.
Both load CSV by COPY and upsert by primary key; the pipeline's folder stays between runs, so that
a second run finds everything warm.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

PRIORITIES = {"1": "critical", "2": "high", "3": "moderate", "4": "low", "5": "planning"}
STATES = {"1": "new", "2": "in_progress", "3": "on_hold", "6": "resolved", "7": "closed"}
MOMENTS = ("opened_at", "updated_at", "resolved_at")
TABLE = "incidents"
WRITE = {"disposition": "merge", "strategy": "upsert"}


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


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def mapped(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": record["sys_id"],
        "number": record["number"],
        "title": f"{record['number']}: {record['short_description']}",
        "priority": PRIORITIES[record["priority"]],
        "state": STATES[record["state"]],
        "category": record["category"],
        "opened_at": moment(record["opened_at"]),
        "updated_at": moment(record["sys_updated_on"]),
        "resolved_at": moment(record["resolved_at"]),
        "caller": record["caller"]["name"],
        "caller_email": record["caller"]["email"],
        "assignment_group": record["assignment_group"]["name"],
        "tags": ", ".join(record["tags"]),
    }


def rest_api(url: str) -> Any:
    from dlt.sources.rest_api import rest_api_source

    config: Any = {
        "client": {
            "base_url": url,
            "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
        },
        "resources": [
            {
                "name": TABLE,
                "primary_key": "id",
                "write_disposition": WRITE,
                "columns": {name: {"data_type": "timestamp", "nullable": True} for name in MOMENTS},
                "endpoint": {"path": "incidents", "data_selector": "items"},
                "processing_steps": [{"map": mapped}],
            }
        ],
    }
    return rest_api_source(config)


def arrow(url: str) -> Any:
    import dlt
    import pyarrow as pa
    import pyarrow.compute as pc
    import requests

    decode = msgspec.json.Decoder(Page).decode

    def moments(texts: list[str | None]) -> Any:
        return pc.strptime(pa.array(texts, pa.string()), "%Y-%m-%d %H:%M:%S", "us").cast(
            pa.timestamp("us", "UTC")
        )

    def table(items: list[Incident]) -> Any:
        return pa.table(
            {
                "id": [i.sys_id for i in items],
                "number": [i.number for i in items],
                "title": [f"{i.number}: {i.short_description}" for i in items],
                "priority": [PRIORITIES[i.priority] for i in items],
                "state": [STATES[i.state] for i in items],
                "category": [i.category for i in items],
                "opened_at": moments([i.opened_at for i in items]),
                "updated_at": moments([i.sys_updated_on for i in items]),
                "resolved_at": moments([i.resolved_at for i in items]),
                "caller": [i.caller.name for i in items],
                "caller_email": [i.caller.email for i in items],
                "assignment_group": [i.assignment_group.name for i in items],
                "tags": [", ".join(i.tags) for i in items],
            }
        )

    @dlt.resource(name=TABLE, primary_key="id", write_disposition=WRITE)
    def incidents() -> Iterator[Any]:
        after: str | None = "0"
        with requests.Session() as session:
            while after is not None:
                page = decode(session.get(f"{url}/incidents", params={"after": after}).content)
                after = page.next
                yield table(page.items)

    return incidents()


def processor_time() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def main() -> None:
    kind, url, database, schema, folder = sys.argv[1:6]
    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"})
    import dlt

    pipeline = dlt.pipeline(
        f"bench_{kind}",
        pipelines_dir=folder,
        destination=dlt.destinations.postgres(database),
        dataset_name=schema,
    )
    source = {"rest_api": rest_api, "arrow": arrow}[kind](url)
    begun, used = time.perf_counter(), processor_time()
    pipeline.run(source, loader_file_format=(sys.argv[6:] or ["csv"])[0])
    told = {"seconds": time.perf_counter() - begun, "cpu": processor_time() - used}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
