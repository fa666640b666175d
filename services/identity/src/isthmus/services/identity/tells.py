"""What the service wants to have told; `events` tells it."""

from typing import Protocol

from isthmus.services.identity.domain import Session, User
from sqlalchemy.ext.asyncio import AsyncConnection


class Tells(Protocol):
    """Tells the mesh what happened, in the transaction in which it did."""

    async def user(self, conn: AsyncConnection, verb: str, user: User, by: str) -> None:
        """Tell that a user was created, updated, deleted, locked out, or has another password."""

    async def session(self, conn: AsyncConnection, verb: str, session: Session, by: str) -> None:
        """Tell that a session was started or ended."""


__all__ = ["Tells"]
