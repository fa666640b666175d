"""What somebody reaches who has stolen the identity of a connector host: what hosts need, and no more."""

import re
from pathlib import Path

import pytest
from isthmus.kit import Principal
from isthmus.services.identity.domain import mesh_permissions
from isthmus.testing.contract import all_rpcs

HOST = Path(__file__).resolve().parents[2] / "connector-host/host/src"
COME_ALONG = {
    "AuthenticateCaller",  # asked by the chassis, about the host's own callers
    "DiffConfiguration",
    "GetUsage",
    "ListConfigurationRevisions",
    "ListInstances",
    "ValidateConfiguration",
}
"""What hosts may call and their code does not: it has the permission of something that they do call."""
NEVER = re.compile(
    r"identity\.(?!callers\.authenticate).*|credentials\.auth_configs\..*|records\.records\..*|events\..*"
    r"|monitoring\.audit\..*|(registry|mapping|scheduling)\.\w+\.(create|update|delete)"
)


@pytest.fixture(scope="module")
def reached():
    """Every RPC that a host may call at a service, as a rule generated from the descriptors."""
    subject = "host:files"
    host = Principal(subject, "tnt_1", frozenset(mesh_permissions(subject)), "mesh")
    without = {"public", "authenticated"}
    return [
        rpc
        for rpc in all_rpcs()
        if rpc.package != "connector" and rpc.permission not in without and host.may(rpc.permission)
    ]


def test_a_host_may_call_what_its_code_calls(reached):
    """
    A permission that hosts do not use any more is one that a thief could use.
    """
    code = "\n".join(path.read_text() for path in HOST.rglob("*.py"))
    unused = {rpc.name for rpc in reached if not re.search(rf"\.{rpc.name}\b", code)}

    assert unused == COME_ALONG


def test_a_host_reaches_no_secret_and_nothing_that_governs(reached):
    """
    Of credentials it borrows; it makes nobody an account, reads no records of the hub, and changes no set-up.
    """
    borrowing = {rpc.name for rpc in reached if rpc.package == "credentials"}

    assert borrowing == {"LeaseCredential", "RefreshCredential"}
    assert [rpc.path for rpc in reached if NEVER.fullmatch(rpc.permission)] == []
