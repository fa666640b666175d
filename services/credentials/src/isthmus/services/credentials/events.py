"""What happened to authentication configurations, told to the mesh without secrets."""

from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit import DomainEvent, Outbox
from isthmus.services.credentials.domain import AuthConfig
from isthmus.services.credentials.messages import config_message
from sqlalchemy.ext.asyncio import AsyncConnection


class Events:
    """Stores events beside the changes they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def changed(self, conn: AsyncConnection, verb: str, config: AuthConfig, subject: str) -> None:
        """Tell that a configuration was created, updated, deleted or leased."""
        payload = pb.AuthConfigChanged(auth_config=config_message(config), changed_by=subject)
        event = DomainEvent(config.tenant_id, "auth_config", verb, config.auth_config_id, payload)
        await self._outbox.add(conn, event)


__all__ = ["Events"]
