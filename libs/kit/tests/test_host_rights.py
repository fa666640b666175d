"""What a host may do with the tickets that it shows."""

import json
import time

import pytest
from isthmus.kit import host_rights
from isthmus.kit.principal import Principal, acting_as
from isthmus.kit.tickets import SIGN, TICKET_HEADER, Carried, Inspector, Ticket, carrying
from isthmus.kit.tokens import TrustStore, new_key, signed
from isthmus.resilience.faults import NotAllowed

HOST = Principal("host:files", "tnt_1", frozenset({"*"}), "mesh")
SHOWN = Ticket("tnt_1", "ins_1", "host:files", "host:files", flow_id="flw_1", stream="items")
ALSO = Ticket("tnt_1", "ins_2", "host:files", "host:files")
TELLING = "monitoring.logs.append"


@pytest.fixture
def world(tmp_path):
    """Gives who judges tickets, and what signs them: a ticket that ended so many seconds ago, for example."""
    private, entry = new_key("k1", "service:scheduling", [SIGN])
    (tmp_path / "key.jwk").write_text(json.dumps(private))
    (tmp_path / "trust.json").write_text(json.dumps({"keys": [entry]}))
    trust = TrustStore(tmp_path / "trust.json")
    trust.find("e30.e30.e30")  # reads the file

    def text(ticket, ended=-60):
        now = int(time.time()) - 120 - ended
        return signed(tmp_path / "key.jwk", ticket.claims, now=now, lifetime=120, kind="ticket")

    return Inspector(trust), text


def reason(check, *arguments):
    """Gives why the host is refused; empty where it passes."""
    with acting_as(HOST), carrying(Carried("text", SHOWN, (ALSO,))):
        try:
            check(*arguments)
        except NotAllowed as refused:
            return refused.reason
    return ""


@pytest.mark.parametrize(
    ("check", "own", "other"),
    [
        (host_rights.require_work_on, "ins_1", "ins_2"),
        (host_rights.require_flow, "flw_1", "flw_2"),
        (host_rights.require_flow, "flw_1:back", "flw_2:back"),
        (host_rights.require_stream, "items", ""),
        (host_rights.require_told, ["ins_1", "ins_2"], ["ins_1", "ins_3"]),
    ],
    ids=["instance", "flow", "writer", "stream", "told"],
)
def test_a_ticket_opens_what_it_names(check, own, other):
    """
    What it does not name, or what a request leaves out, it does not open.
    """
    assert (reason(check, own), reason(check, other)) == ("", "TICKET_OF_OTHERS")


def test_a_host_speaks_for_its_own_connector():
    """
    Who is no host speaks for any.
    """
    assert reason(host_rights.require_connector, "files") == ""
    assert reason(host_rights.require_connector, "postgres") == "CONNECTOR_OF_OTHERS"
    host_rights.require_connector("postgres")


def test_what_is_told_may_be_told_for_an_hour_after_the_work(world):
    """
    Nothing else is opened by a ticket that has ended.
    """
    inspector, text = world

    def judged(ended, permission):
        try:
            inspector.inspect({TICKET_HEADER: text(SHOWN, ended)}, HOST, permission)
        except NotAllowed as refused:
            return refused.reason
        return ""

    assert [judged(1800, TELLING), judged(1800, "registry.instances.read")] == ["", "TICKET_INVALID"]
    assert judged(4000, TELLING) == "TICKET_INVALID"


def test_several_tickets_go_with_what_is_told_of_several_instances(world):
    """
    Each has to be right; with anything else they are no ticket.
    """
    inspector, text = world
    both = {TICKET_HEADER: f"{text(SHOWN)} {text(ALSO)}"}
    foreign = {TICKET_HEADER: f"{text(SHOWN)} {text(Ticket('tnt_2', 'ins_1', 'host:files', 'host:files'))}"}
    carried = inspector.inspect(both, HOST, TELLING)

    assert (carried.ticket, carried.others) == (SHOWN, (ALSO,))
    with pytest.raises(NotAllowed, match="another tenant"):
        inspector.inspect(foreign, HOST, TELLING)
    with pytest.raises(NotAllowed, match="has ended"):
        inspector.inspect(both, HOST, "registry.instances.read")
