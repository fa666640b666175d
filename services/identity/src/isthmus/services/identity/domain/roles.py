"""The roles that come with Isthmus."""

from collections.abc import Iterable

from isthmus.resilience.faults import Missing
from isthmus.services.identity.domain.model import Role

# Security operations are no part of the contract yet; roles that will allow them say so already.
DECLARED = (
    "security.alerts.read",
    "security.alerts.write",
    "security.cases.read",
    "security.cases.write",
    "security.events.read",
    "security.events.write",
    "security.workflows.execute",
)
SUPPORT_ROLE = "support_viewer"
_INTEGRATION = (
    "credentials.auth_configs.*",
    "events.events.*",
    "events.subscribers.*",
    "events.subscriptions.*",
    "identity.tenants.read",
    "mapping.mappings.*",
    "mapping.schemas.decide",
    "mapping.schemas.manage",
    "mapping.schemas.read",
    "mapping.schemas.register",
    "monitoring.*.read",
    "records.conflicts.*",
    "records.pairs.read",
    "records.reconciliations.read",
    "records.links.adopt",
    "records.links.delete",
    "records.links.read",
    "records.quarantine.drop",
    "records.quarantine.read",
    "records.quarantine.read_values",
    "records.quarantine.requeue",
    "records.records.read",
    "records.retention.*",
    "records.statistics.read",
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
    "events.subscribers.read",
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
    "identity.groups.*",
    "identity.providers.*",
    "identity.quotas.read",
    "identity.roles.*",
    "identity.scim.*",
    "identity.scim_dialects.*",
    "identity.service_accounts.*",
    "identity.sessions.*",
    "identity.support_accesses.*",
    "identity.tenants.read",
    "identity.users.*",
)
_SUPPORT = (
    "credentials.auth_configs.read",
    "events.subscriptions.read",
    "identity.tenants.read",
    "mapping.mappings.read",
    "mapping.schemas.read",
    "monitoring.health.read",
    "monitoring.logs.read",
    "monitoring.metrics.read",
    "registry.*.read",
    "scheduling.*.read",
)
_PROVISION = ("identity.scim.read", "identity.scim.write")
_SECURITY_VIEW = (
    "events.events.read",
    "records.records.read",
    "security.alerts.read",
    "security.cases.read",
    "security.events.read",
)
_SECURITY_WORK = (
    *_SECURITY_VIEW,
    "security.alerts.write",
    "security.cases.write",
    "security.workflows.execute",
)
_SECURITY_ADMIN = (
    *_SECURITY_WORK,
    *_ACCOUNTS,
    "security.events.write",
    "events.events.publish",
    "events.subscribers.*",
    "events.subscriptions.*",
    "monitoring.*.read",
    "records.quarantine.drop",
    "records.quarantine.read",
    "records.quarantine.requeue",
)
_API_SERVICE = (
    "events.events.publish",
    "monitoring.health.read",
    "monitoring.metrics.read",
    "security.alerts.write",
    "security.events.write",
)
_PRIVACY = (
    "monitoring.audit.read",
    "records.people.*",
    "records.records.read",
    "records.retention.*",
)
_TENANT = tuple(sorted({*_INTEGRATION, *_AUDIT, *_ACCOUNTS, *_SECURITY_ADMIN, *_API_SERVICE, *_PRIVACY}))

_ROLES = (
    Role("api_service", "Programs that hand in events and watch the system.", _API_SERVICE),
    Role("auditor", "People who read configuration, logs and audit, and change nothing.", _AUDIT),
    Role(
        "installation_admin",
        "Who runs the installation: creates tenants, sees which there are, and says how much they may take.",
        (
            "identity.quotas.read",
            "identity.quotas.update",
            "identity.signing_keys.rotate",
            "identity.tenants.create",
            "identity.tenants.read",
            "identity.tenants.support",
            "monitoring.installation.audit",
        ),
        scope="installation",
    ),
    Role("integration_admin", "Who sets up and runs a tenant's integrations.", _INTEGRATION),
    Role(
        "privacy_officer",
        "Who answers for personal data: exports, erases, and sets how long it is kept.",
        _PRIVACY,
    ),
    Role("provisioner", "Directories that keep users and groups by SCIM; they give no roles.", _PROVISION),
    Role("security_admin", "Who runs a tenant's security operations.", _SECURITY_ADMIN),
    Role("security_analyst", "Who works on security events and records.", _SECURITY_WORK),
    Role("security_viewer", "Who looks at security events and records.", _SECURITY_VIEW),
    Role(
        "support_engineer",
        "Who supports the installation's tenants: asks them for access.",
        ("identity.tenants.read", "identity.tenants.support"),
        scope="installation",
    ),
    Role(SUPPORT_ROLE, "Who helps a tenant for a while: configuration, runs and logs, no records.", _SUPPORT),
    Role("tenant_admin", "Who may do everything inside one tenant.", _TENANT),
)
BUILT_IN = {role.role: role for role in _ROLES}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return the union of the patterns of these built-in roles."""
    return frozenset(pattern for name in roles if name in BUILT_IN for pattern in BUILT_IN[name].permissions)


def unknown_role(name: str) -> Missing:
    """Build the answer about a role that is not there."""
    message = f"There is no role `{name[:100]}`; ListRoles shows what there is."
    return Missing("ROLE_UNKNOWN", message, path="roles", metadata={"role": name[:100]})


__all__ = ["BUILT_IN", "DECLARED", "SUPPORT_ROLE", "permissions_of", "unknown_role"]
