"""What happened to people and sessions, told to the mesh without secrets."""

from isthmus.identity.v1 import sessions_pb2, users_pb2
from isthmus.kit import DomainEvent, Outbox
from isthmus.services.identity.domain import Session, User
from isthmus.services.identity.messages import session_message, user_message
from sqlalchemy.ext.asyncio import AsyncConnection


class Events:
    """Stores events beside the changes they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def user(self, conn: AsyncConnection, verb: str, user: User, by: str) -> None:
        """Tell that a user was created, updated, deleted, locked out, or has another password."""
        payload = users_pb2.UserChanged(user=user_message(user), changed_by=by)
        await self._outbox.add(conn, DomainEvent(user.tenant_id, "user", verb, user.user_id, payload))

    async def session(self, conn: AsyncConnection, verb: str, session: Session, by: str) -> None:
        """Tell that a session was started or ended."""
        payload = sessions_pb2.SessionChanged(session=session_message(session), changed_by=by)
        event = DomainEvent(session.tenant_id, "session", verb, session.session_id, payload)
        await self._outbox.add(conn, event)


__all__ = ["Events"]
