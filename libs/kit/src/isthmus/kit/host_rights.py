"""What a host may do with the ticket that it has shown; whoever is no host passes everywhere here."""

from collections.abc import Iterable

from isthmus.kit.principal import peek_principal
from isthmus.kit.tickets import Ticket, carried_here, is_host, missing, of_others
from isthmus.resilience.faults import NotAllowed

_HOST = "host:"
_WRITER = ":"


def require_work_on(instance_id: str, auth_config_id: str = "", *, borrowing: bool = False) -> None:
    """Let a host pass that has live work on an instance; whoever is no host passes.

    Args:
        instance_id: On what; empty for a configuration that is not saved yet.
        auth_config_id: The credential of such a configuration.
        borrowing: Ask for the host that serves the instance; not even who may call it will do.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is None:
        return
    if ticket.instance_id != instance_id:
        raise of_others("another instance")
    if not instance_id and ticket.auth_config_id != auth_config_id:
        raise of_others("another credential")
    caller = peek_principal()
    if borrowing and caller is not None and ticket.host != caller.subject:
        raise of_others("another host")


def require_flow(flow_id: str) -> None:
    """Let a host pass that carries a flow out; whoever is no host passes.

    Args:
        flow_id: Which one, or a writer of it: `flw_1:back`.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and (not flow_id or ticket.flow_id != flow_id.partition(_WRITER)[0]):
        raise of_others("another flow")


def require_stream(stream: str) -> None:
    """Let a host pass that carries a flow out which has a stream at this end; whoever is no host passes.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and (not stream or ticket.stream != stream):
        raise of_others("another stream")


def require_told(instance_ids: Iterable[str]) -> None:
    """Let a host pass that has, or had a while ago, work on all of some instances; whoever is no host passes.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is None:
        return
    carried = carried_here()
    known = {ticket.instance_id, *(one.instance_id for one in (carried.others if carried else ()))}
    if not known.issuperset(instance_ids):
        raise of_others("another instance")


def flow_of_host() -> str:
    """Return the flow that the caller's work is about where a host calls; empty for whoever may see all.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and not ticket.flow_id:
        raise of_others("no flow")
    return "" if ticket is None else ticket.flow_id


def require_mapping(mapping_id: str) -> None:
    """Let a host pass that carries a flow with a mapping out; whoever is no host passes.

    Raises:
        NotAllowed: `TICKET_MISSING` or `TICKET_OF_OTHERS`.
    """
    ticket = _ticket_of_host()
    if ticket is not None and mapping_id not in ticket.mapping_ids:
        raise of_others("a flow without this mapping")


def _ticket_of_host() -> Ticket | None:
    """Give what the caller has shown; None where it is no host, and needs to show nothing."""
    caller = peek_principal()
    if caller is None or not is_host(caller):
        return None
    carried = carried_here()
    ticket = None if carried is None else carried.ticket
    if ticket is None:
        raise missing()
    return ticket


def refuse_hosts() -> None:
    """Keep hosts from what has the permission of something that they do need.

    Raises:
        NotAllowed: `TICKET_OF_OTHERS`.
    """
    caller = peek_principal()
    if caller is not None and is_host(caller):
        raise of_others("one instance, and this is about others")


def require_connector(connector_id: str) -> None:
    """Let a host pass that is of a connector; whoever is no host passes.

    Raises:
        NotAllowed: `CONNECTOR_OF_OTHERS`.
    """
    own = connector_of_host()
    if own and own != connector_id:
        message = f"A host of {own} speaks for its own connector, not for {connector_id!r}."
        raise NotAllowed("CONNECTOR_OF_OTHERS", message)


def connector_of_host() -> str:
    """Return the connector that the caller is a host of; empty for whoever is no host."""
    caller = peek_principal()
    return caller.subject.removeprefix(_HOST) if caller is not None and is_host(caller) else ""


__all__ = [
    "connector_of_host",
    "flow_of_host",
    "refuse_hosts",
    "require_connector",
    "require_flow",
    "require_mapping",
    "require_stream",
    "require_told",
    "require_work_on",
]
