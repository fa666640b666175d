"""What each process of the mesh may do; the launcher writes it into the trust file.

These permissions are never part of a tenant's role: they reach over all
tenants or decide what other processes believe.
"""

MESH_ONLY = (
    "connector.*.*",
    "credentials.leases.*",
    "identity.callers.*",
    "identity.installation.*",
    "identity.tenants.create",
    "mapping.plans.*",
    "monitoring.logs.append",
    "monitoring.metrics.record",
    "records.quarantine.add",
    "records.quarantine.resolve",
    "registry.hosts.register",
    "scheduling.checkpoints.*",
    "scheduling.leases.*",
)

_EVERYBODY = ("identity.callers.authenticate",)
_HOST = (
    *_EVERYBODY,
    "connector.*.*",
    "credentials.leases.create",
    "mapping.plans.read",
    "monitoring.logs.append",
    "monitoring.metrics.record",
    "records.quarantine.add",
    "records.quarantine.read",
    "records.quarantine.resolve",
    "registry.connectors.register",
    "registry.hosts.register",
    "registry.hosts.resolve",
    "registry.instances.read",
    "scheduling.checkpoints.commit",
    "scheduling.executions.read",
    "scheduling.flows.read",
    "scheduling.leases.*",
)
_SERVICES = {
    "credentials": ("registry.instances.read",),
    "events": (
        "monitoring.logs.append",
        "registry.instances.read",
        "scheduling.executions.start",
        "scheduling.flows.read",
    ),
    "mapping": ("registry.instances.read", "registry.instances.discover"),
    "monitoring": ("registry.instances.read", "scheduling.*.read"),
    "records": (
        "registry.connectors.register",
        "registry.instances.read",
        "scheduling.executions.start",
        "scheduling.flows.read",
    ),
    "registry": ("connector.instances.*", "credentials.auth_configs.read"),
    "scheduling": (
        "mapping.mappings.read",
        "records.quarantine.read",
        "registry.hosts.resolve",
        "registry.instances.read",
    ),
}
_LAUNCHER = (
    "identity.api_keys.*",
    "identity.installation.bootstrap",
    "identity.roles.read",
    "identity.service_accounts.*",
    "identity.tenants.read",
    "registry.connectors.*",
    "registry.hosts.*",
)


def mesh_permissions(subject: str) -> tuple[str, ...]:
    """Return the patterns that a process of the mesh needs and no more.

    Args:
        subject: `service:<name>`, `host:<connector>` or `launcher`.

    Raises:
        ValueError: the subject has none of these forms.
    """
    kind, _, name = subject.partition(":")
    if kind == "host" and name:
        return _HOST
    if kind == "service" and name:
        return (*_EVERYBODY, *_SERVICES.get(name, ()))
    if subject == "launcher":
        return _LAUNCHER
    raise ValueError(
        f"{subject!r} is no process of the mesh; use service:<name>, host:<connector> or launcher."
    )


__all__ = ["MESH_ONLY", "mesh_permissions"]
