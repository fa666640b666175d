"""Reads from the contract what each RPC demands of its caller."""

from collections.abc import Iterable

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from isthmus.kit.deed import Kind
from isthmus.kit.principal import Principal, current_principal
from isthmus.resilience.faults import Broken, NotAllowed
from isthmus.type.v1 import audit_pb2, permission_pb2

PUBLIC = "public"
AUTHENTICATED = "authenticated"
_READING = ("Get", "List", "Describe")
_KINDS: dict[int, Kind] = {audit_pb2.AUDIT_CHANGE: "change", audit_pb2.AUDIT_ACCESS: "access"}


def permissions_of(services: Iterable[str]) -> dict[str, str]:
    """Return the permission of every method, `/pkg.Service/Method` → permission.

    Raises:
        Broken: `PERMISSION_UNDECLARED`, an RPC has no permission option and must not be served.
    """
    found: dict[str, str] = {}
    bare: list[str] = []
    pool = descriptor_pool.Default()
    for service in services:
        for method in pool.FindServiceByName(service).methods:
            permission = method.GetOptions().Extensions[permission_pb2.permission]
            if not permission:
                bare.append(f"{service}/{method.name}")
            found[f"/{service}/{method.name}"] = permission
    if bare:
        message = f"Declare `option (isthmus.type.v1.permission)` in the proto for {', '.join(bare)}."
        raise Broken("PERMISSION_UNDECLARED", message)
    return found


def audited(method: MethodDescriptor) -> Kind | None:
    """Tell what calls of an RPC are to the audit trail; None where it keeps none of them."""
    options = method.GetOptions()
    declared = options.Extensions[audit_pb2.audit]
    if declared != audit_pb2.AUDIT_UNSPECIFIED:
        return _KINDS.get(declared)
    permission = options.Extensions[permission_pb2.permission]
    needs_none = permission in {PUBLIC, AUTHENTICATED}
    reads = method.name.startswith(_READING) if needs_none else permission.endswith(".read")
    return None if reads else "change"


def audits_of(services: Iterable[str]) -> dict[str, Kind]:
    """Return the methods whose calls the audit trail keeps, `/pkg.Service/Method` → kind of deed."""
    pool = descriptor_pool.Default()
    methods = [method for service in services for method in pool.FindServiceByName(service).methods]
    kinds = {f"/{method.containing_service.full_name}/{method.name}": audited(method) for method in methods}
    return {path: kind for path, kind in kinds.items() if kind is not None}


def require(permission: str, principal: Principal | None) -> None:
    """Let a call pass when its caller may make it.

    Raises:
        NotAuthenticated: `CALLER_UNKNOWN`, the call carries no credential.
        NotAllowed: `PERMISSION_MISSING`.
    """
    if permission == PUBLIC:
        return
    caller = principal or current_principal()
    if permission != AUTHENTICATED and not caller.may(permission):
        message = f"You lack the permission `{permission}`; ask an administrator for a role that has it."
        raise NotAllowed("PERMISSION_MISSING", message, metadata={"permission": permission})


__all__ = ["AUTHENTICATED", "PUBLIC", "audited", "audits_of", "permissions_of", "require"]
