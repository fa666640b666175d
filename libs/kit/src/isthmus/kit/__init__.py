"""The chassis of every Isthmus service: serve, faults, bus, outbox, database, identity, telemetry.

Importing this package starts nothing and loads nothing heavy: a name's module is loaded when the
name is first used, so a lean process pays only for the parts it touches.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.kit.bus import Bus
    from isthmus.kit.clock import Clock
    from isthmus.kit.consumer import Consumer
    from isthmus.kit.db import Database
    from isthmus.kit.errors import fault_from_rpc_error
    from isthmus.kit.etag import check_etag
    from isthmus.kit.event import DomainEvent, ReceivedEvent
    from isthmus.kit.idempotency import once
    from isthmus.kit.ids import new_id
    from isthmus.kit.outbox import Outbox
    from isthmus.kit.paging import Page, PageRequest, encode_token
    from isthmus.kit.principal import Principal, acting_for, current_correlation_id, current_principal
    from isthmus.kit.redaction import loggable
    from isthmus.kit.serving import run, serve
    from isthmus.kit.settings import ServiceSettings
    from isthmus.kit.vault import Vault
    from isthmus.kit.wiring import Chassis, Wiring

_HOMES = {
    "Bus": "bus",
    "Chassis": "wiring",
    "Clock": "clock",
    "Consumer": "consumer",
    "Database": "db",
    "DomainEvent": "event",
    "Outbox": "outbox",
    "Page": "paging",
    "PageRequest": "paging",
    "Principal": "principal",
    "ReceivedEvent": "event",
    "ServiceSettings": "settings",
    "Vault": "vault",
    "Wiring": "wiring",
    "acting_for": "principal",
    "check_etag": "etag",
    "current_correlation_id": "principal",
    "current_principal": "principal",
    "encode_token": "paging",
    "fault_from_rpc_error": "errors",
    "loggable": "redaction",
    "new_id": "ids",
    "once": "idempotency",
    "run": "serving",
    "serve": "serving",
}

__all__ = [
    "Bus",
    "Chassis",
    "Clock",
    "Consumer",
    "Database",
    "DomainEvent",
    "Outbox",
    "Page",
    "PageRequest",
    "Principal",
    "ReceivedEvent",
    "ServiceSettings",
    "Vault",
    "Wiring",
    "acting_for",
    "check_etag",
    "current_correlation_id",
    "current_principal",
    "encode_token",
    "fault_from_rpc_error",
    "loggable",
    "new_id",
    "once",
    "run",
    "serve",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
