"""Imports everything the mesh's processes will need, once, before any of them is forked.

What is imported here is shared memory and saved time in every child. Nothing may be opened: no channel,
no event loop, no thread.
"""

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from isthmus.local.backends.base import BackendFailed
from isthmus.local.programs import service_code

__all__ = ["connector_class", "connector_names", "preload"]

_GROUP = "isthmus.connectors"
# The command line of httpx brings rich and Pygments with it, 4 MB that nobody here uses.
_UNWANTED = "httpx._main"
# Loaded by services when they first need them, which would be after the fork. Alembic is missing on
# purpose: it is needed only when tables change, and then by a child that ends soon.
_HEAVY = (
    "asyncio",
    "cryptography.x509",
    "grpc.aio",
    "grpc_health.v1.health",
    "grpc_status.rpc_status",
    "httpx",
    "hvac",
    "isthmus.host.__main__",
    "isthmus.local.backends.vault_pki",
    "isthmus.local.environment",
    "isthmus.local.furnishing",
    "isthmus.host.local",
    "isthmus.host.upstream",
    "isthmus.identity.v1.identity_pb2_grpc",
    "isthmus.kit.auditing",
    "isthmus.kit.db.migrating",
    "isthmus.kit.engine",
    "isthmus.kit.identity",
    "isthmus.kit.janitor",
    "isthmus.kit.relay",
    "isthmus.kit.subscription",
    "isthmus.kit.vault",
    "isthmus.monitoring.v1.audit_pb2_grpc",
    "isthmus.registry.v1.registry_pb2_grpc",
    "isthmus.sdk.runtime",
    "joserfc.jwk",
    "joserfc.jwt",
    "nats",
    "nats.js",
    "psycopg",
    "psycopg_pool",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.ext.asyncio",
    "tenacity",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.h11_impl",
    "uvloop",
)


def preload(services: Sequence[str]) -> Iterator[None]:
    """Import by steps, so that servers started before make progress meanwhile.

    Raises:
        ImportError: a service cannot be imported; the mesh is not complete without it.
        BackendFailed: a connector does at its import what makes forking unsafe.
    """
    # The import system takes None for a module that is not there, and httpx does without.
    sys.modules.setdefault(_UNWANTED, None)  # type: ignore[arg-type]
    for name in services:
        service_code(name)
        yield
    for module in _HEAVY:
        try:
            importlib.import_module(module)
        except ImportError:
            # What is optional here is missed where it is used, with a better message.
            continue
        yield
    for entry in _entry_points().values():
        _loaded(entry)
        if threading.active_count() > 1:
            # It would be missing in every child, and with it whatever it holds locked.
            message = f"Importing the connector {entry.name} starts a thread: uninstall or correct it."
            raise BackendFailed(message)
        yield
    for name in services:
        _read_settings_once(name)
        yield


def connector_names() -> list[str]:
    """List the installed connectors, also those that were installed after the launcher started."""
    importlib.invalidate_caches()
    return sorted(_entry_points())


def connector_class(name: str) -> Any:
    """Import a connector's class; `None` when it is not installed or broken."""
    entry = _entry_points().get(name)
    return None if entry is None else _loaded(entry)


def _read_settings_once(service: str) -> None:
    """Fill the caches of abstract classes, which every child would otherwise fill in memory of its own."""
    with suppress(ValueError):
        # Nothing is set yet, so what comes out is of no use, and neither is what is said to be missing.
        service_code(service).settings()


def _entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUP)}


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (Exception, SystemExit):
        return None
