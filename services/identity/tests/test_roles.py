"""The built-in roles against the permissions that the contract knows."""

import importlib
import pkgutil

import pytest
from isthmus.kit import Principal
from isthmus.resilience.faults import Missing, NotAllowed
from isthmus.services.identity.domain import BUILT_IN, DECLARED, check_grant, mesh_permissions, permissions_of
from isthmus.services.identity.domain.mesh import MESH_ONLY
from isthmus.type.v1 import permission_pb2

AREAS = (
    "connector",
    "credentials",
    "events",
    "identity",
    "mapping",
    "monitoring",
    "records",
    "registry",
    "scheduling",
)
MESH = [f"service:{name}" for name in (*AREAS, "gateway") if name != "connector"] + ["host:files"]


def _modules() -> list[str]:
    packages = [importlib.import_module(f"isthmus.{area}.v1") for area in AREAS]
    return [
        f"{package.__name__}.{module.name}"
        for package in packages
        for module in pkgutil.iter_modules(package.__path__)
        if module.name.endswith("_pb2")
    ]


def _contract_permissions() -> set[str]:
    found = set()
    for name in _modules():
        file = importlib.import_module(name).DESCRIPTOR
        for service in file.services_by_name.values():
            found |= {method.GetOptions().Extensions[permission_pb2.permission] for method in service.methods}
    return found - {"authenticated", "public"}


CONTRACT = _contract_permissions()


def _may(patterns) -> "callable":
    return Principal("svc_1", "tnt_1", frozenset(patterns), "service_account").may


def _granted(patterns) -> set[str]:
    return {permission for permission in CONTRACT if _may(patterns)(permission)}


# No RPC asks for it: every service looks for it where a call names somebody whom it is made for.
FORWARD = "identity.callers.forward"
PATTERNS = {pattern for role in BUILT_IN.values() for pattern in role.permissions}
PATTERNS |= {pattern for subject in MESH for pattern in mesh_permissions(subject)} | set(MESH_ONLY)


ASKED_BY_NO_RPC = {"identity.callers.forward", "identity.tickets.sign"}
"""What is asked for beside an RPC's own permission: to say for whom a call is handed on, and who has work."""


@pytest.mark.parametrize("pattern", sorted(PATTERNS - ASKED_BY_NO_RPC))
def test_every_pattern_means_something(pattern):
    """
    A pattern that matches no RPC is a misspelt one.
    """
    assert _granted([pattern]) or any(map(_may([pattern]), (*DECLARED, FORWARD)))


@pytest.mark.parametrize(
    "role", [role for role in BUILT_IN.values() if role.scope == "tenant"], ids=lambda r: r.role
)
def test_no_tenant_role_reaches_into_the_mesh(role):
    """
    What decides over other tenants or over what processes believe is never a tenant's.
    """
    assert not _granted(role.permissions) & _granted(MESH_ONLY)


def test_tenant_admin_may_do_all_that_is_not_the_meshs():
    """
    A new RPC is either the mesh's or every tenant administrator's.
    """
    assert _granted(BUILT_IN["tenant_admin"].permissions) == CONTRACT - _granted(MESH_ONLY)


def test_a_host_changes_no_configuration_and_no_account():
    """
    A host runs code of vendors: it moves records, and reaches nothing that decides about others.
    """
    verbs = {permission.rpartition(".")[2] for permission in _granted(mesh_permissions("host:files"))}

    assert not verbs & {"delete", "update", "activate", "deactivate", "bootstrap", "revoke", "cancel", "drop"}
    assert not {p for p in _granted(mesh_permissions("host:files")) if p.startswith("identity.")} - {
        "identity.callers.authenticate"
    }


MATRIX = {
    "security_admin": ("events: read write", "alerts: read write", "cases: read write", "workflows: execute"),
    "security_analyst": ("events: read", "alerts: read write", "cases: read write", "workflows: execute"),
    "security_viewer": ("events: read", "alerts: read", "cases: read"),
    "api_service": ("events: write", "alerts: write"),
    "integration_admin": (),
    "auditor": (),
}


@pytest.mark.parametrize("role", MATRIX)
def test_the_matrix_of_security_operations_holds_in_every_cell(role):
    """
    Each role has what its row says and nothing else of it.
    """
    cells = dict(cell.split(": ") for cell in MATRIX[role])
    wanted = {f"security.{what}.{verb}" for what, verbs in cells.items() for verb in verbs.split()}

    assert {one for one in DECLARED if _may(permissions_of([role]))(one)} == wanted


def test_auditor_changes_nothing():
    """
    Every permission of an auditor ends in read.
    """
    assert {permission.rpartition(".")[2] for permission in _granted(BUILT_IN["auditor"].permissions)} == {
        "read"
    }


def test_tenant_admin_can_give_every_role_of_a_tenant():
    """
    The administrator of a tenant sets up its integration administrators and auditors.
    """
    names = [role.role for role in BUILT_IN.values() if role.scope == "tenant"]

    check_grant(names, _may(permissions_of(["tenant_admin"])))


def test_nobody_gives_more_than_he_has():
    """
    An integration administrator cannot make himself tenant administrator.
    """
    with pytest.raises(NotAllowed, match="cannot give `tenant_admin`"):
        check_grant(["tenant_admin"], _may(permissions_of(["integration_admin"])))


def test_unknown_roles_are_named():
    """
    A misspelt role is refused by name.
    """
    with pytest.raises(Missing, match="`integraton_admin`"):
        check_grant(["integraton_admin"], _may("*"))


def test_only_processes_have_mesh_permissions():
    """
    A subject of another form gets no permission at all.
    """
    with pytest.raises(ValueError, match="no process"):
        mesh_permissions("service_account:svc_1")
