"""Which host may borrow what."""

import pytest
from isthmus.kit import Principal
from isthmus.kit.principal import acting_as
from isthmus.kit.tickets import Carried, Ticket, carrying
from isthmus.resilience.faults import Missing, NotAllowed
from isthmus.services.credentials.borrowers import Borrowers


class Instances:
    """Two instances: one of files without and one of http-json with a credential."""

    known = {"ins_files": ("files", "ath_files"), "ins_json": ("http-json", "ath_json")}  # noqa: RUF012
    asked = 0

    async def connector_of(self, instance_id, auth_config_id):
        self.asked += 1
        if instance_id not in self.known:
            raise Missing("INSTANCE_UNKNOWN", "There is none.")
        connector, used = self.known[instance_id]
        return connector if used == auth_config_id else ""

    async def users_of(self, auth_config_id):
        return {connector for connector, used in self.known.values() if used == auth_config_id}


@pytest.fixture
def admitted():
    """Asks whether a host may borrow that has a ticket for what it asks for, or for something else."""

    async def admit(borrowers, instance, credential, ticket=None):
        host = Principal("host:files", "tnt_1", frozenset({"*"}), "mesh")
        usual = Ticket("tnt_1", instance, host.subject, host.subject, "" if instance else credential)
        with acting_as(host), carrying(Carried("ticket", ticket or usual)):
            await borrowers.admit(host, instance, credential)

    return admit


@pytest.mark.parametrize(
    ("instance", "credential"),
    [
        ("ins_json", "ath_json"),
        ("ins_files", "ath_json"),
        ("ins_none", "ath_files"),
        ("", "ath_json"),
        ("ins_files", "ath_new"),
    ],
    ids=["another connector", "own instance", "no instance", "none named", "not its own"],
)
async def test_a_host_borrows_nothing_of_others(admitted, instance, credential):
    """
    Neither by the other's instance, nor by one of its own, nor without any.
    """
    with pytest.raises(NotAllowed) as refused:
        await admitted(Borrowers(Instances()), instance, credential)

    assert refused.value.reason == "CREDENTIAL_OF_OTHERS"


@pytest.mark.parametrize(
    ("instance", "credential"),
    [("ins_files", "ath_files"), ("", "ath_files"), ("", "ath_new")],
    ids=["its instance", "tried again", "tried before it is saved"],
)
async def test_a_host_borrows_what_is_its_own(admitted, instance, credential):
    """
    Also before an instance is saved, when nobody uses the credential yet.
    """
    await admitted(Borrowers(Instances()), instance, credential)


@pytest.mark.parametrize(
    ("instance", "credential", "ticket"),
    [
        ("ins_files", "ath_files", Ticket("tnt_1", "ins_other", "host:files", "host:files")),
        ("ins_files", "ath_files", Ticket("tnt_1", "ins_files", "host:other", "host:files")),
        ("", "ath_new", Ticket("tnt_1", "", "host:files", "service:registry", "ath_other")),
        ("", "ath_new", Ticket("tnt_1", "ins_files", "host:files", "host:files")),
    ],
    ids=["another instance", "another host", "another credential", "a saved instance"],
)
async def test_a_host_borrows_nothing_that_it_has_no_work_for(admitted, instance, credential, ticket):
    """
    Though it is its own: a ticket is for one instance, or for what is tried before it is saved.
    """
    with pytest.raises(NotAllowed) as refused:
        await admitted(Borrowers(Instances()), instance, credential, ticket)

    assert refused.value.reason == "TICKET_OF_OTHERS"


async def test_the_registry_is_asked_once_in_a_while(admitted):
    """
    What was admitted is for a minute.
    """
    instances = Instances()
    borrowers = Borrowers(instances)
    for _ in range(3):
        await admitted(borrowers, "ins_files", "ath_files")

    assert instances.asked == 1
