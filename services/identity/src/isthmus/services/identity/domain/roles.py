"""The roles that come with Isthmus, and the rule for giving them."""

from collections.abc import Callable, Iterable

from isthmus.resilience.faults import Missing, NotAllowed
from isthmus.services.identity.domain.model import Role

_INTEGRATION = (
    "credentials.auth_configs.*",
    "events.events.*",
    "events.subscriptions.*",
    "identity.tenants.read",
    "mapping.mappings.*",
    "mapping.schemas.decide",
    "mapping.schemas.read",
    "monitoring.*.read",
    "records.conflicts.*",
    "records.pairs.read",
    "records.reconciliations.read",
    "records.links.adopt",
    "records.links.delete",
    "records.links.read",
    "records.quarantine.drop",
    "records.quarantine.read",
    "records.quarantine.requeue",
    "records.records.read",
    "registry.connectors.*",
    "registry.hosts.read",
    "registry.hosts.resolve",
    "registry.instances.*",
    "scheduling.executions.*",
    "scheduling.flows.*",
    "scheduling.plan_runs.*",
    "scheduling.plans.*",
    "scheduling.schedules.*",
)
_AUDIT = (
    "credentials.auth_configs.read",
    "events.events.read",
    "events.subscriptions.read",
    "identity.*.read",
    "mapping.mappings.read",
    "mapping.schemas.read",
    "monitoring.*.read",
    "registry.*.read",
    "scheduling.*.read",
)
_ACCOUNTS = (
    "identity.api_keys.*",
    "identity.roles.read",
    "identity.service_accounts.*",
    "identity.sessions.*",
    "identity.tenants.read",
    "identity.users.*",
)
_SECURITY_VIEW = ("events.events.read", "records.records.read")
_SECURITY_ADMIN = (
    *_SECURITY_VIEW,
    *_ACCOUNTS,
    "events.events.publish",
    "events.subscriptions.*",
    "monitoring.*.read",
    "records.quarantine.drop",
    "records.quarantine.read",
    "records.quarantine.requeue",
)
_API_SERVICE = ("events.events.publish", "monitoring.health.read", "monitoring.metrics.read")
_TENANT = tuple(sorted({*_INTEGRATION, *_AUDIT, *_ACCOUNTS, *_SECURITY_ADMIN, *_API_SERVICE}))

_ROLES = (
    Role("api_service", "Programs that hand in events and watch the system.", _API_SERVICE),
    Role("auditor", "People who read configuration, logs and audit, and change nothing.", _AUDIT),
    Role(
        "installation_admin",
        "Who runs the installation: creates tenants and sees which there are.",
        ("identity.signing_keys.rotate", "identity.tenants.create", "identity.tenants.read"),
        scope="installation",
    ),
    Role("integration_admin", "Who sets up and runs a tenant's integrations.", _INTEGRATION),
    Role("security_admin", "Who runs a tenant's security operations.", _SECURITY_ADMIN),
    Role("security_analyst", "Who works on security events and records.", _SECURITY_VIEW),
    Role("security_viewer", "Who looks at security events and records.", _SECURITY_VIEW),
    Role("tenant_admin", "Who may do everything inside one tenant.", _TENANT),
)
BUILT_IN = {role.role: role for role in _ROLES}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return the union of the patterns of these roles; a role that is gone grants nothing."""
    return frozenset(pattern for name in roles if name in BUILT_IN for pattern in BUILT_IN[name].permissions)


def check_grant(roles: Iterable[str], may: Callable[[str], bool]) -> None:
    """Let a caller give roles no wider than what it may do itself.

    Args:
        roles: Names of the roles to give.
        may: Tells whether the caller holds a permission or a whole pattern.

    Raises:
        Missing: `ROLE_UNKNOWN`.
        NotAllowed: `ROLE_EXCEEDS_CALLER`.
    """
    for name in roles:
        role = BUILT_IN.get(name)
        if role is None:
            message = f"There is no role `{name[:100]}`; ListRoles shows what there is."
            raise Missing("ROLE_UNKNOWN", message, path="roles", metadata={"role": name[:100]})
        beyond = next((pattern for pattern in role.permissions if not may(pattern)), "")
        if beyond:
            message = f"You cannot give `{name}`: it includes `{beyond}`, which you do not have."
            raise NotAllowed("ROLE_EXCEEDS_CALLER", message, metadata={"role": name, "permission": beyond})


def roles_after(name: str | None) -> list[Role]:
    """Return the roles behind `name` in list order; None starts at the beginning."""
    return [role for role in _ROLES if name is None or role.role > name]


__all__ = ["BUILT_IN", "check_grant", "permissions_of", "roles_after"]
