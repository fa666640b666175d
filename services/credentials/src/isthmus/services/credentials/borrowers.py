"""Who may borrow what: a host gets credentials of its own connector's instances and no others."""

import time
from collections import OrderedDict
from typing import Protocol

from isthmus.kit.host_rights import require_work_on
from isthmus.kit.principal import Principal
from isthmus.resilience.faults import Missing, NotAllowed

_HOST = "host:"
_KEPT_SECONDS = 60.0
_MOST_KEPT = 10_000


class Instances(Protocol):
    """What the registry knows of instances, on behalf of the tenant that acts."""

    async def connector_of(self, instance_id: str, auth_config_id: str) -> str:
        """Give the connector of an instance that has a configuration; empty for others."""

    async def users_of(self, auth_config_id: str) -> set[str]:
        """Give the connectors of the instances that authenticate with a configuration."""


class Borrowers:
    """Keeps a host whose identity was stolen from borrowing what belongs to other connectors.

    Args:
        instances: Knows which instance uses what.
    """

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._known: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()

    async def admit(self, caller: Principal, instance_id: str, auth_config_id: str) -> None:
        """Refuse a host that asks for a credential it has no instance for, or no work on the instance.

        A configuration that is tried before it is saved has no instance: then nobody else may use the
        credential yet, or an instance of the same connector does. What was admitted is for a minute.

        Raises:
            NotAllowed: `TICKET_MISSING`, `TICKET_OF_OTHERS` or `CREDENTIAL_OF_OTHERS`.
            RetryLater: The registry is away.
        """
        if not caller.subject.startswith(_HOST):
            return
        require_work_on(instance_id, auth_config_id, borrowing=True)
        connector = caller.subject.removeprefix(_HOST)
        key = (caller.tenant_id, connector, instance_id, auth_config_id)
        now = time.monotonic()
        if self._known.get(key, 0.0) > now:
            return
        if not await self._belongs(connector, instance_id, auth_config_id):
            message = (
                f"{auth_config_id} is no credential of an instance of {connector}; hosts borrow their own."
            )
            raise NotAllowed("CREDENTIAL_OF_OTHERS", message)
        self._known[key] = now + _KEPT_SECONDS
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)

    async def _belongs(self, connector: str, instance_id: str, auth_config_id: str) -> bool:
        if not instance_id:
            users = await self._instances.users_of(auth_config_id)
            return not users or connector in users
        try:
            return await self._instances.connector_of(instance_id, auth_config_id) == connector
        except Missing:
            return False


__all__ = ["Borrowers", "Instances"]
