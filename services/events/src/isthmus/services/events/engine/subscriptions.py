"""Subscriptions: created, changed, deleted."""

from dataclasses import replace

from isthmus.kit import Clock, check_etag, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import AlreadyExists, Missing
from isthmus.services.events.domain import Subscription, SubscriptionSpec
from isthmus.services.events.engine.ports import Announcer
from isthmus.services.events.store import subscriptions
from sqlalchemy.ext.asyncio import AsyncConnection


class Subscriptions:
    """Keeps subscriptions; every method is one transaction's work.

    Args:
        announcer: Says what happened.
        clock: The time.
    """

    def __init__(self, announcer: Announcer, clock: Clock) -> None:
        self._announcer = announcer
        self._clock = clock

    async def create(
        self, conn: AsyncConnection, tenant_id: str, spec: SubscriptionSpec, by: str
    ) -> Subscription:
        """Store a new subscription.

        Raises:
            AlreadyExists: `SUBSCRIPTION_NAME_TAKEN`.
        """
        now = self._clock.now()
        subscription = Subscription(new_id("sub"), spec, by, now, now)
        stored = await subscriptions.insert_subscription(conn, tenant_id, subscription)
        if stored is None:
            raise _name_taken(spec)
        await self._announcer.subscription(conn, tenant_id, "created", stored, by)
        return stored

    async def get(self, conn: AsyncConnection, tenant_id: str, subscription_id: str) -> Subscription:
        """Read a subscription.

        Raises:
            Missing: `SUBSCRIPTION_UNKNOWN`.
        """
        found = await subscriptions.get_subscription(conn, tenant_id, subscription_id)
        if found is None:
            raise _unknown(subscription_id)
        return found

    async def update(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        subscription_id: str,
        spec: SubscriptionSpec,
        *,
        etag: str,
        by: str,
    ) -> Subscription:
        """Replace what a subscription's owner decided.

        Raises:
            Missing: `SUBSCRIPTION_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
            AlreadyExists: `SUBSCRIPTION_NAME_TAKEN`.
        """
        old = await subscriptions.get_subscription(conn, tenant_id, subscription_id, lock=True)
        if old is None:
            raise _unknown(subscription_id)
        check_etag(etag, old.revision)
        tell(before=old)
        changed = replace(old, spec=spec, update_time=self._clock.now())
        stored = await subscriptions.update_subscription(conn, tenant_id, changed)
        if stored is None:
            raise _name_taken(spec)
        await self._announcer.subscription(conn, tenant_id, "updated", stored, by)
        return stored

    async def delete(
        self, conn: AsyncConnection, tenant_id: str, subscription_id: str, *, etag: str, by: str
    ) -> None:
        """Remove a subscription; what it had still to do is not done.

        Raises:
            Conflict: `ETAG_MISMATCH`.
        """
        old = await subscriptions.get_subscription(conn, tenant_id, subscription_id, lock=True)
        if old is None:
            return
        check_etag(etag, old.revision)
        tell(before=old)
        await subscriptions.delete_subscription(conn, tenant_id, subscription_id)
        await self._announcer.subscription(conn, tenant_id, "deleted", old, by)


def _unknown(subscription_id: str) -> Missing:
    message = f"There is no subscription {subscription_id}; ListSubscriptions shows what there is."
    return Missing("SUBSCRIPTION_UNKNOWN", message)


def _name_taken(spec: SubscriptionSpec) -> AlreadyExists:
    message = f'There is a subscription named "{spec.name}" already; choose another name.'
    return AlreadyExists("SUBSCRIPTION_NAME_TAKEN", message, path="subscription.name")


__all__ = ["Subscriptions"]
