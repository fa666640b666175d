"""What scheduling signs for hosts: by which right they work on the two ends of a flow."""

from typing import NamedTuple

from isthmus.kit.certificates import serving
from isthmus.kit.logs import logger
from isthmus.kit.principal import Principal
from isthmus.kit.tickets import Ticket, Tickets, is_host
from isthmus.resilience.faults import Fault, Missing
from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine import Instances

_log = logger(__name__)


class Pair(NamedTuple):
    """The tickets of an execution, signed.

    Attributes:
        source: For the instance that is read.
        destination: For the instance that is written; empty while nobody can tell who serves it.
    """

    source: str
    destination: str


class Passes:
    """Signs the tickets of executions; the same flow gets the same ones for a minute.

    Args:
        tickets: Signs.
        instances: Knows whose host serves an instance.
    """

    def __init__(self, tickets: Tickets, instances: Instances) -> None:
        self._tickets = tickets
        self._instances = instances

    async def of(self, tenant_id: str, execution: Execution) -> Pair:
        """Give the tickets of an execution that a host has the lease of."""
        host, flow = serving_host(execution), execution.moving
        whole = execution.flow
        mappings = tuple(filter(None, (whole.mapping_id, whole.reverse_mapping_id)))
        source = Ticket(
            tenant_id,
            flow.source.instance_id,
            host,
            host,
            flow_id=execution.flow_id,
            stream=flow.source.stream,
            mapping_ids=mappings,
        )
        try:
            server = serving(await self._instances.connector(flow.destination.instance_id))
        except Missing:
            server = host  # it finds out that the destination is gone
        except Fault as fault:
            _log.info("the destination's host is not known", reason=fault.reason)
            return Pair(self._tickets.text(source), "")
        destination = Ticket(
            tenant_id,
            flow.destination.instance_id,
            server,
            host,
            flow_id=execution.flow_id,
            stream=flow.destination.stream,
        )
        return Pair(self._tickets.text(source), self._tickets.text(destination))


def serving_host(execution: Execution) -> str:
    """Name the process that carries an execution's present leg out."""
    return f"host:{execution.connector_id}"


def connector_of(caller: Principal, told: str) -> str:
    """Give the connector of a caller: that of a host follows from who it is, not from what it tells."""
    return caller.subject.partition(":")[2] if is_host(caller) else told


__all__ = ["Pair", "Passes", "connector_of"]
