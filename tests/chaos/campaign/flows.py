"""What the campaign syncs."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ARCHIVE",
    "COPIES",
    "FLOWS",
    "HUB_STREAM",
    "PLAN",
    "STEPS",
    "documents",
]

FLOWS = ("to-hub", "to-warehouse", "to-tickets", "both-ways")
"""All flows; `to-tickets` reads what `to-hub` writes."""
HUB_STREAM = "incidents"
PLAN = "in-order"
"""Copies what `to-hub` has brought inside the hub, and the copies into the warehouse."""
STEPS = {"copy": "to-copies", "archive": "to-archive"}
"""The plan's steps, one after the other, and their flows."""
COPIES = "copies"
"""The hub's stream between both steps."""
ARCHIVE = "archive"
"""The warehouse's table behind them."""
# A system that fails often is asked again sooner than the defaults would have it.
_LIMITS = "{retry: {first_wait_seconds: 0.2, longest_wait_seconds: 2}, breaker: {open_seconds: 3}}"
_SIDE = """
kind: Instance
name: {name}
spec:
  connector: http-json
  limits: {limits}
  configuration:
    base_url: "http://127.0.0.1:{port}"
    streams:
      - name: items
        path: /items
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
        write: {{method: PUT, path: "/items/{{id}}", delete_path: "/items/{{id}}"}}
---
"""
_DOCUMENTS = """
kind: Instance
name: vendor
spec:
  connector: http-json
  limits: {limits}
  configuration:
    base_url: "http://127.0.0.1:{incidents}"
    streams:
      - name: changes
        path: /changes
        records_path: items
        key: [id]
        paging: {{kind: delta, next: next, delta: delta}}
      - name: incidents
        path: /incidents
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Instance
name: desk
spec:
  connector: http-json
  limits: {limits}
  configuration:
    base_url: "http://127.0.0.1:{tickets}"
    streams:
      - name: tickets
        key: [id]
        write:
          path: /tickets
          id_field: number
          correlation_field: correlation
          lookup:
            path: /tickets
            params: {{correlation: "{{correlation_id}}"}}
            records_path: tickets
            id_field: number
          update: {{path: "/tickets/{{external_id}}"}}
          delete_path: "/tickets/{{external_id}}"
---
kind: Credential
name: warehouse
spec: {{type: basic, username: loader, secret: {{env: CHAOS_LOADER}}}}
---
kind: Instance
name: warehouse
spec:
  connector: postgres
  credential: warehouse
  limits: {limits}
  configuration: {{host: 127.0.0.1, port: {warehouse}, database: warehouse, sslmode: disable}}
---
kind: Mapping
name: rows
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: title}}
    - {{target: priority, source: priority}}
    - {{target: state, source: state}}
---
kind: Flow
name: to-hub
spec:
  source: {{instance: vendor, stream: changes}}
  destination: {{instance: hub, stream: incidents}}
  key: [id]
  max_attempts: 20
---
kind: Flow
name: to-warehouse
spec:
  source: {{instance: vendor, stream: incidents}}
  mapping: rows
  destination: {{instance: warehouse, stream: incidents}}
  key: [id]
  read_mode: full
  max_attempts: 20
---
kind: Flow
name: to-tickets
spec:
  source: {{instance: hub, stream: incidents}}
  destination: {{instance: desk, stream: tickets}}
  key: [id]
  max_attempts: 20
---
kind: Flow
name: both-ways
spec:
  source: {{instance: left, stream: items}}
  destination: {{instance: right, stream: items}}
  key: [id]
  reverse_key: [id]
  direction: both
  read_mode: full
  reverse_read_mode: full
  max_attempts: 20
---
kind: Flow
name: to-copies
spec:
  source: {{instance: hub, stream: incidents}}
  destination: {{instance: hub, stream: copies}}
  key: [id]
  max_attempts: 20
---
kind: Flow
name: to-archive
spec:
  source: {{instance: hub, stream: copies}}
  mapping: rows
  destination: {{instance: warehouse, stream: archive}}
  key: [id]
  max_attempts: 20
---
kind: Plan
name: in-order
spec:
  steps:
    - {{name: copy, flow: to-copies}}
    - {{name: archive, flow: to-archive, after: [copy]}}
"""


def documents(ports: Mapping[str, int]) -> str:
    """Describe systems and flows, given the port by which each system is reached."""
    sides = "".join(_SIDE.format(name=name, port=ports[name], limits=_LIMITS) for name in ("left", "right"))
    return sides + _DOCUMENTS.format(limits=_LIMITS, **ports)
