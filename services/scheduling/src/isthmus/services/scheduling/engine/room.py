"""Room at instances: no more executions at work with one at a time than its limits say."""

from dataclasses import replace
from datetime import datetime

from isthmus.kit import Clock, Database
from isthmus.resilience.faults import Precondition
from isthmus.services.scheduling.engine.changes import Changes
from isthmus.services.scheduling.store import leases, room
from isthmus.services.scheduling.store.leases import Lease, Leased
from sqlalchemy.ext.asyncio import AsyncConnection

_LOOK_SECONDS = 2.0


class NoRoom(Exception):
    """An instance has as many executions at work as its limits allow.

    Args:
        execution_id: What would be one too many.
        instance_id: Which instance.
    """

    def __init__(self, execution_id: str, instance_id: str) -> None:
        super().__init__("no room")
        self.execution_id = execution_id
        self.instance_id = instance_id


class Room:
    """Gives places at instances, and calls who waits for one in the order of priority and age.

    What is at work is counted when a place is given, so there is nothing that could be forgotten by
    whoever dies. That nothing waits is remembered for a moment, so that without limits it costs nothing.

    Args:
        db: For the transactions.
        clock: The time.
        changes: Told about each change of an execution.
    """

    def __init__(self, db: Database, clock: Clock, changes: Changes) -> None:
        self._db = db
        self._clock = clock
        self._changes = changes
        self._look_at = 0.0
        self.is_crowded = False

    async def lease(
        self, conn: AsyncConnection, tenant_id: str, lease: Lease, now: datetime
    ) -> Leased | None:
        """Give an execution away that wants an instance with a limit; None when that is not what it lacks.

        Raises:
            NoRoom: An instance has no place for it.
        """
        limited = await room.lock_limited(conn, tenant_id, lease.execution)
        if not limited:
            return None
        full = await room.full_instance(conn, tenant_id, lease.execution, limited, now)
        if full:
            raise NoRoom(lease.execution.execution_id, full)
        return await leases.lease_execution(conn, tenant_id, replace(lease, has_room=True), now)

    async def put_off(self, tenant_id: str, full: NoRoom) -> Precondition:
        """Have an execution wait for a place, and say so to the host that wanted it."""
        async with self._db.tenant(tenant_id) as conn:
            await room.wait_for_room(conn, tenant_id, full.execution_id, full.instance_id)
            self._changes.note(conn, tenant_id, full.execution_id)
        self.is_crowded = True
        who = "The tenant" if full.instance_id == room.EVERYWHERE else f"Instance {full.instance_id}"
        message = (
            f"{who} has as many executions at work as its limits allow; "
            "drop the job, it comes again when there is room."
        )
        metadata = {"execution_id": full.execution_id, "instance_id": full.instance_id}
        return Precondition("LEASE_HELD", message, metadata=metadata)

    async def call(self, conn: AsyncConnection) -> None:
        """Make due what there is room for by now; the transaction sees all tenants."""
        now = self._clock.monotonic()
        if self.is_crowded or now >= self._look_at:
            self.is_crowded = await room.call_waiting(conn, self._clock.now())
            self._look_at = now + _LOOK_SECONDS


__all__ = ["NoRoom", "Room"]
