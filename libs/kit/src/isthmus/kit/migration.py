"""Helpers for Alembic migrations: isolation by tenant and the chassis' own tables."""

from typing import Any


def isolate(op: Any, table: str) -> None:
    """Bind a table's rows to tenants: row-level security, forced, with policies for both roles."""
    raise NotImplementedError


def create_outbox(op: Any) -> None:
    """Create the table `outbox`, where events wait for the relay."""
    raise NotImplementedError


def create_inbox(op: Any) -> None:
    """Create the table `inbox`, which remembers events already handled."""
    raise NotImplementedError


def create_idempotency(op: Any) -> None:
    """Create the table `idempotency`, which remembers answers by request id."""
    raise NotImplementedError


__all__ = ["create_idempotency", "create_inbox", "create_outbox", "isolate"]
