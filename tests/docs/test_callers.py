"""The page that says which process may call what, against the contract and what decides about calls."""

import re
from pathlib import Path

import pytest
from isthmus.kit.permissions import AUTHENTICATED, PUBLIC, require
from isthmus.kit.principal import Principal
from isthmus.local.names import SERVICES
from isthmus.resilience.faults import NotAllowed
from isthmus.services.identity.domain import mesh_permissions
from isthmus.testing.contract import all_rpcs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "callers.md"
PROCESSES = {**{name: f"service:{name}" for name in SERVICES}, "hosts": "host:files", "host-hub": "host:hub"}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_may_call_what_the_page_says_and_nothing_else(process):
    """
    Over every RPC of the contract that asks for a permission.
    """
    subject = PROCESSES[process]
    caller = Principal(subject, "tnt_any", frozenset(mesh_permissions(subject)), "mesh")
    rows = re.findall(r"^\| `([\w.]+)` \| `[\w.]+` \| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    listed = {rpc for rpc, names in rows if {process, "all"} & {*names.split(", ")}}
    guarded = [rpc for rpc in all_rpcs() if rpc.permission not in {PUBLIC, AUTHENTICATED}]

    assert {name_of(rpc) for rpc in guarded if passes(rpc.permission, caller)} == listed


def name_of(rpc):
    """Spells an RPC as the page does."""
    return f"{rpc.method.containing_service.name.removesuffix('Service')}.{rpc.name}"


def passes(permission, caller):
    """Asks what servers ask."""
    try:
        require(permission, caller)
    except NotAllowed:
        return False
    return True
