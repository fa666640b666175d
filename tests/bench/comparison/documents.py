"""The job as Isthmus is told to do it."""

from __future__ import annotations

import json

from comparison.database import NAME, Database
from comparison.incidents import PRIORITIES, STATES

__all__ = ["LATENCY_STREAM", "SECRET", "SMALL_STREAMS", "flow", "instances"]

SECRET = "BENCH_PASSWORD"
"""Environment variable that holds the password of the database."""
LATENCY_STREAM = "small_latency"
"""Where a lone small sync writes."""
SMALL_STREAMS = tuple(f"small_{number:03}" for number in range(128))
"""Where many small syncs write, side by side."""

_INSTANCES = """
kind: Credential
name: bench-database
spec: {{type: basic, username: {name}, secret: {{env: {secret}}}}}
---
kind: Instance
name: bench-source
spec:
  connector: http-json
  # Waits as the reference does: 50 ms after the first failure, without jitter.
  limits: {{retry: {{strategy: linear, attempts: 6, first_wait_seconds: 0.05}}}}
  configuration:
    base_url: "{url}"
    streams:
      - name: incidents
        path: /incidents
        records_path: items
        key: [sys_id]
        paging: {{kind: cursor, param: after, field: next}}
      - name: small
        path: /small
        records_path: items
        key: [sys_id]
---
kind: Instance
name: bench-database
spec:
  connector: postgres
  credential: bench-database
  configuration: {{host: {host}, port: {port}, database: {name}, sslmode: disable}}
---
kind: Mapping
name: bench-incidents
spec:
  transformations:
    tables:
      priority: {{entries: {priorities}}}
      state: {{entries: {states}}}
  field_mappings:
    - {{target: id, source: sys_id, required: true}}
    - {{target: number, source: number, required: true}}
    - {{target: title, template: "{{number}}: {{short_description}}"}}
    - {{target: priority, source: priority, table: priority}}
    - {{target: state, source: state, table: state}}
    - {{target: category, source: category}}
    - {{target: opened_at, source: opened_at, cast: timestamp}}
    - {{target: updated_at, source: sys_updated_on, cast: timestamp}}
    - {{target: resolved_at, source: resolved_at, cast: timestamp, nulls: keep}}
    - {{target: caller, source: caller.name}}
    - {{target: caller_email, source: caller.email}}
    - {{target: assignment_group, source: assignment_group.name}}
    - {{target: tags, source: tags, steps: [{{join: ", "}}]}}
"""
_FLOW = """
---
kind: Flow
name: {name}
spec:
  source: {{instance: bench-source, stream: {source}}}
  mapping: bench-incidents
  destination: {{instance: {instance}, stream: {stream}}}
  key: [id]
"""


def instances(url: str, database: Database) -> str:
    """Describes source, destination and mapping.

    Args:
        url: Where the source is.
        database: Where the `postgres` destination writes.
    """
    return _INSTANCES.format(
        url=url,
        name=NAME,
        secret=SECRET,
        host=database.host,
        port=database.port,
        priorities=json.dumps(PRIORITIES),
        states=json.dumps(STATES),
    )


def flow(name: str, source: str, instance: str, stream: str) -> str:
    """Describes a flow from a stream of the source to a stream of an instance, by key."""
    return _FLOW.format(name=name, source=source, instance=instance, stream=stream)
