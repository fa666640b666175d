"""Rows of subscriptions."""

import json
from collections.abc import Sequence
from typing import Any

from isthmus.services.events.domain import ActionType, Subscription, SubscriptionSpec
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO subscriptions (tenant_id, subscription_id, name, instance_id, event_type, criteria,
                               expression, action_type, action_config, is_active, created_by,
                               create_time, update_time)
    VALUES (:tenant_id, :subscription_id, :name, :instance_id, :event_type, CAST(:criteria AS jsonb),
            :expression, :action_type, CAST(:action_config AS jsonb), :is_active, :created_by,
            :create_time, :create_time)
    ON CONFLICT (tenant_id, name) DO NOTHING RETURNING *
""")
_UPDATE = text("""
    UPDATE subscriptions SET name = :name, instance_id = :instance_id, event_type = :event_type,
        criteria = CAST(:criteria AS jsonb), expression = :expression, action_type = :action_type,
        action_config = CAST(:action_config AS jsonb), is_active = :is_active, update_time = :update_time,
        revision = revision + 1
    WHERE tenant_id = :tenant_id AND subscription_id = :subscription_id RETURNING *
""")
_LIST = text("""
    SELECT * FROM subscriptions WHERE tenant_id = :tenant_id AND subscription_id > :after
    ORDER BY subscription_id LIMIT :limit
""")


def subscription_of(row: RowMapping) -> Subscription:
    """Read a row of `subscriptions`."""
    return Subscription(
        subscription_id=row["subscription_id"],
        spec=SubscriptionSpec(
            name=row["name"],
            event_type=row["event_type"],
            action_type=ActionType(row["action_type"]),
            action_config=row["action_config"],
            instance_id=row["instance_id"],
            criteria=row["criteria"],
            expression=row["expression"],
            is_active=row["is_active"],
        ),
        created_by=row["created_by"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        revision=row["revision"],
    )


def _fields(tenant_id: str, subscription: Subscription) -> dict[str, Any]:
    spec = subscription.spec
    return {
        "tenant_id": tenant_id,
        "subscription_id": subscription.subscription_id,
        "name": spec.name,
        "instance_id": spec.instance_id,
        "event_type": spec.event_type,
        "criteria": json.dumps(spec.criteria),
        "expression": spec.expression,
        "action_type": spec.action_type.value,
        "action_config": json.dumps(spec.action_config),
        "is_active": spec.is_active,
        "created_by": subscription.created_by,
        "create_time": subscription.create_time,
        "update_time": subscription.update_time,
    }


async def insert_subscription(
    conn: AsyncConnection, tenant_id: str, subscription: Subscription
) -> Subscription | None:
    """Store a new subscription; None when its name is taken."""
    row = (await conn.execute(_INSERT, _fields(tenant_id, subscription))).mappings().one_or_none()
    return None if row is None else subscription_of(row)


async def get_subscription(
    conn: AsyncConnection, tenant_id: str, subscription_id: str, *, lock: bool = False
) -> Subscription | None:
    """Read a subscription, locked when it is to be changed."""
    query = "SELECT * FROM subscriptions WHERE tenant_id = :tenant_id AND subscription_id = :subscription_id"
    which = {"tenant_id": tenant_id, "subscription_id": subscription_id}
    row = (await conn.execute(text(query + " FOR UPDATE" * lock), which)).mappings().one_or_none()
    return None if row is None else subscription_of(row)


async def list_subscriptions(
    conn: AsyncConnection, tenant_id: str, *, after: str, limit: int
) -> Sequence[Subscription]:
    """Read subscriptions, oldest first."""
    wanted = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return [subscription_of(row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def active_subscriptions(conn: AsyncConnection, tenant_id: str) -> Sequence[Subscription]:
    """Read all active subscriptions of a tenant."""
    query = text("SELECT * FROM subscriptions WHERE tenant_id = :tenant_id AND is_active")
    return [subscription_of(row) for row in (await conn.execute(query, {"tenant_id": tenant_id})).mappings()]


async def update_subscription(
    conn: AsyncConnection, tenant_id: str, subscription: Subscription
) -> Subscription | None:
    """Store a subscription's new form; None when its name is taken."""
    try:
        async with conn.begin_nested():
            row = (await conn.execute(_UPDATE, _fields(tenant_id, subscription))).mappings().one()
    except IntegrityError:
        return None
    return subscription_of(row)


async def delete_subscription(conn: AsyncConnection, tenant_id: str, subscription_id: str) -> None:
    """Remove a subscription with all it still has to do."""
    query = text(
        "DELETE FROM subscriptions WHERE tenant_id = :tenant_id AND subscription_id = :subscription_id"
    )
    await conn.execute(query, {"tenant_id": tenant_id, "subscription_id": subscription_id})


__all__ = [
    "active_subscriptions",
    "delete_subscription",
    "get_subscription",
    "insert_subscription",
    "list_subscriptions",
    "subscription_of",
    "update_subscription",
]
