"""What each process of the mesh may do; the launcher writes it into the trust file.

These permissions are never part of a tenant's role: they reach over all
tenants or decide what other processes believe.
"""

MESH_ONLY = (
    "connector.*.*",
    "credentials.authorizations.*",
    "credentials.leases.*",
    "identity.callers.*",
    "identity.installation.*",
    "identity.keys.*",
    "identity.logins.*",
    "identity.quotas.update",
    "identity.signing_keys.*",
    "identity.tenants.create",
    "identity.tenants.support",
    "identity.usage.*",
    "mapping.plans.*",
    "mapping.schemas.observe",
    "monitoring.audit.append",
    "monitoring.installation.audit",
    "monitoring.logs.append",
    "credentials.texts.redact",
    "events.texts.redact",
    "identity.texts.redact",
    "mapping.texts.redact",
    "monitoring.logs.redact",
    "monitoring.texts.redact",
    "registry.texts.redact",
    "scheduling.texts.redact",
    "monitoring.metrics.record",
    "records.links.write",
    "records.quarantine.add",
    "records.quarantine.resolve",
    "records.reconciliations.keep",
    "registry.hosts.register",
    "registry.records.sample",
    "scheduling.checkpoints.*",
    "scheduling.leases.*",
    "scheduling.rounds.*",
)

_EVERYBODY = ("identity.callers.authenticate",)
_SERVICE = (*_EVERYBODY, "identity.usage.report", "monitoring.audit.append")
_HOST = (
    *_EVERYBODY,
    "connector.records.write",
    "credentials.leases.create",
    "mapping.plans.read",
    "mapping.schemas.observe",
    "monitoring.logs.append",
    "monitoring.metrics.record",
    "records.links.write",
    "records.quarantine.add",
    "records.quarantine.read",
    "records.quarantine.read_values",
    "records.quarantine.resolve",
    "records.reconciliations.keep",
    "registry.connectors.register",
    "registry.hosts.register",
    "registry.hosts.resolve",
    "registry.instances.read",
    "scheduling.checkpoints.commit",
    "scheduling.leases.*",
)
# What reads out of the hub stands in front of it, as others stand in front of connectors in other languages.
_HOST_OF_HUB = ("connector.instances.check", "connector.instances.discover", "connector.records.read")
_SERVICES = {
    "credentials": (
        "connector.secrets.rotate",
        "identity.tickets.sign",
        "registry.connectors.read",
        "registry.hosts.resolve",
        "registry.instances.read",
    ),
    # It is believed where a request came from that it hands on with the caller's own credential.
    "gateway": ("credentials.authorizations.finish", "identity.callers.forward", "identity.logins.arrive"),
    "identity": ("registry.instances.read", "scheduling.flows.read"),
    "mapping": ("registry.instances.discover", "registry.records.sample", "scheduling.flows.read"),
    "monitoring": ("events.events.read",),
    "records": (
        "credentials.texts.redact",
        "events.texts.redact",
        "identity.keys.derive",
        "identity.texts.redact",
        "mapping.texts.redact",
        "monitoring.logs.redact",
        "monitoring.texts.redact",
        "registry.texts.redact",
        "scheduling.rounds.follow",
        "scheduling.texts.redact",
    ),
    # Who gives hosts work says so in tickets, without which hosts act for no tenant.
    "registry": (
        "connector.instances.*",
        "connector.records.read",
        "credentials.auth_configs.read",
        "identity.tickets.sign",
    ),
    "scheduling": (
        "connector.actions.invoke",
        "identity.tickets.sign",
        "mapping.mappings.read",
        "registry.connectors.read",
        "registry.hosts.resolve",
        "registry.instances.read",
    ),
    # Whoever founds a tenant, and makes its administrator a new key, has to have all that it gives.
    "launcher": ("*",),
}


def mesh_permissions(subject: str) -> tuple[str, ...]:
    """Return the patterns that a process of the mesh needs and no more.

    Args:
        subject: `service:<name>` or `host:<connector>`; the launcher is `service:launcher`.

    Raises:
        ValueError: the subject has none of these forms.
    """
    kind, _, name = subject.partition(":")
    if kind == "host" and name:
        return (*_HOST, *_HOST_OF_HUB) if name == "hub" else _HOST
    if kind == "service" and name:
        return (*_SERVICE, *_SERVICES.get(name, ()))
    raise ValueError(f"{subject!r} is no process of the mesh; use service:<name> or host:<connector>.")


__all__ = ["MESH_ONLY", "mesh_permissions"]
