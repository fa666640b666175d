"""What every command needs: the way into the mesh, and names for ids."""

import os
from pathlib import Path

import grpc
import typer
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.client.profile import load_profile
from isthmus.credentials.v1 import credentials_pb2
from isthmus.identity.v1 import access_pb2, identity_pb2, users_pb2
from isthmus.mapping.v1 import mapping_pb2
from isthmus.registry.v1 import registry_pb2
from isthmus.scheduling.v1 import plans_pb2, scheduling_pb2


def mesh_of(ctx: typer.Context) -> Mesh:
    """Opens the mesh that `--home` or the environment names; closed when the command ends."""
    mesh = Mesh(load_profile(home_of(ctx)))
    ctx.call_on_close(mesh.close)
    return mesh


def home_of(ctx: typer.Context) -> Path | None:
    """Gives what `--home` said."""
    found = ctx.find_root().params.get("home")
    return Path(found) if found else None


def instance_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of an instance named by id or name; `hub` stands for itself."""
    if reference == "hub" or reference.startswith("ins_"):
        return reference
    request = registry_pb2.ListInstancesRequest(name=reference)
    found = next(pages(mesh.registry.ListInstances, request, "instances"), None)
    return found.instance_id if found else _unknown("instance", reference, "isthmus instances list")


def flow_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a flow named by id or name."""
    if reference.startswith("flw_"):
        return reference
    request = scheduling_pb2.ListFlowsRequest(name=reference)
    found = next(pages(mesh.scheduling.ListFlows, request, "flows"), None)
    return found.flow_id if found else _unknown("flow", reference, "isthmus flows list")


def plan_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a plan named by id or name."""
    if reference.startswith("pln_"):
        return reference
    found = next(pages(mesh.plans.ListPlans, plans_pb2.ListPlansRequest(name=reference), "plans"), None)
    return found.plan_id if found else _unknown("plan", reference, "isthmus plans list")


def mapping_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a mapping named by id or name."""
    if reference.startswith("map_"):
        return reference
    request = mapping_pb2.ListMappingsRequest(name=reference)
    found = next(pages(mesh.mapping.ListMappings, request, "mappings"), None)
    return found.mapping_id if found else _unknown("mapping", reference, "isthmus mappings list")


def auth_config_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a credential named by id or name."""
    if reference.startswith("ath_"):
        return reference
    request = credentials_pb2.ListAuthConfigsRequest(name=reference)
    found = next(pages(mesh.credentials.ListAuthConfigs, request, "auth_configs"), None)
    return found.auth_config_id if found else _unknown("credential", reference, "isthmus credentials list")


def account_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a service account named by id or name."""
    if reference.startswith("svc_"):
        return reference
    listed = pages(
        mesh.identity.ListServiceAccounts, identity_pb2.ListServiceAccountsRequest(), "service_accounts"
    )
    found = next((item for item in listed if item.name == reference), None)
    if found is None:
        return _unknown("service account", reference, "isthmus service-accounts list")
    return str(found.service_account_id)


def user_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a user named by id or name."""
    if reference.startswith("usr_"):
        return reference
    request = users_pb2.ListUsersRequest(user_name=reference)
    found = next(pages(mesh.users.ListUsers, request, "users"), None)
    return found.user_id if found else _unknown("user", reference, "isthmus users list")


def group_id(mesh: Mesh, reference: str) -> str:
    """Gives the id of a group named by id or name."""
    if reference.startswith("grp_"):
        return reference
    request = access_pb2.ListGroupsRequest(group_name=reference)
    found = next(pages(mesh.access.ListGroups, request, "groups"), None)
    return found.group_id if found else _unknown("group", reference, "isthmus groups list")


def instance_names(mesh: Mesh) -> dict[str, str]:
    """Gives names by id for tables; empty where the caller may not see instances or the registry is away."""
    try:
        found = pages(mesh.registry.ListInstances, registry_pb2.ListInstancesRequest(), "instances")
        return {item.instance_id: item.name for item in found}
    except (grpc.RpcError, Problem):
        return {}


def flow_names(mesh: Mesh) -> dict[str, str]:
    """Gives names by id for tables; empty where the caller may not see flows or scheduling is away."""
    try:
        found = pages(mesh.scheduling.ListFlows, scheduling_pb2.ListFlowsRequest(), "flows")
        return {item.flow_id: item.name for item in found}
    except (grpc.RpcError, Problem):
        return {}


def plan_names(mesh: Mesh) -> dict[str, str]:
    """Gives names by id for tables; empty where the caller may not see plans or scheduling is away."""
    try:
        found = pages(mesh.plans.ListPlans, plans_pb2.ListPlansRequest(), "plans")
        return {item.plan_id: item.name for item in found}
    except (grpc.RpcError, Problem):
        return {}


def gateway_of(mesh: Mesh) -> str:
    """Gives the address at which browsers reach the gateway.

    Raises:
        Problem: `GATEWAY_UNKNOWN`.
    """
    url = os.environ.get("ISTHMUS_GATEWAY_URL") or mesh.profile.gateway_url
    if not url:
        message = "No address of the gateway is known here: set ISTHMUS_GATEWAY_URL."
        raise Problem("GATEWAY_UNKNOWN", message, exit_code=ExitCode.USAGE)
    return url.rstrip("/")


def _unknown(kind: str, reference: str, command: str) -> str:
    raise Problem(
        f"{kind.upper().replace(' ', '_')}_UNKNOWN",
        f"No {kind} is called {reference}: `{command}` shows what there is.",
        exit_code=ExitCode.USAGE,
    )
