"""Which host may borrow what."""

import pytest
from isthmus.kit import Principal
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


def host(connector):
    return Principal(f"host:{connector}", "tnt_1", frozenset({"*"}), "mesh")


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
async def test_a_host_borrows_nothing_of_others(instance, credential):
    """
    Neither by the other's instance, nor by one of its own, nor without any.
    """
    with pytest.raises(NotAllowed) as refused:
        await Borrowers(Instances()).admit(host("files"), instance, credential)

    assert refused.value.reason == "CREDENTIAL_OF_OTHERS"


@pytest.mark.parametrize(
    ("instance", "credential"),
    [("ins_files", "ath_files"), ("", "ath_files"), ("", "ath_new")],
    ids=["its instance", "tried again", "tried before it is saved"],
)
async def test_a_host_borrows_what_is_its_own(instance, credential):
    """
    Also before an instance is saved, when nobody uses the credential yet.
    """
    await Borrowers(Instances()).admit(host("files"), instance, credential)


async def test_the_registry_is_asked_once_in_a_while():
    """
    What was admitted is for a minute.
    """
    instances = Instances()
    borrowers = Borrowers(instances)
    for _ in range(3):
        await borrowers.admit(host("files"), "ins_files", "ath_files")

    assert instances.asked == 1
