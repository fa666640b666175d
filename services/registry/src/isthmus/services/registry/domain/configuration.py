"""The rules about an instance's configuration."""

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from isthmus.resilience.faults import FixRequest, Violation
from isthmus.services.registry.domain.model import Compatibility, Spec
from isthmus.services.registry.domain.schema import compiled
from isthmus.services.registry.domain.secrets import REASON, obvious_secrets
from isthmus.services.registry.domain.semver import offers_more

_ADDRESSES = (
    "base_url",
    "url",
    "endpoint",
    "connection_url",
    "address",
    "uri",
    "host",
    "root",
    "path",
    "folder",
)


def canonical(configuration: dict[str, Any]) -> str:
    """Write a configuration in the one form in which equal configurations are equal texts."""
    return json.dumps(configuration, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def violations(spec: Spec, configuration: dict[str, Any]) -> list[Violation]:
    """List everything wrong with a configuration: against the schema, and secrets in it."""
    found = compiled(json.dumps(spec.schema)).violations(configuration)
    secret_paths = {violation.path for violation in found if violation.reason == REASON}
    more = [item for item in obvious_secrets(configuration, spec.schema) if item.path not in secret_paths]
    return found + more


def check_configuration(spec: Spec, configuration: dict[str, Any]) -> None:
    """Refuse a configuration that does not fit its connector, or that holds a secret.

    Raises:
        FixRequest: `SECRET_IN_CONFIGURATION` or `CONFIGURATION_INVALID`, with one violation per field.
    """
    found = violations(spec, configuration)
    if not found:
        return
    secret = next((violation for violation in found if violation.reason == REASON), None)
    first = secret or found[0]
    more = f" And {len(found) - 1} more; see the violations." if len(found) > 1 else ""
    reason = REASON if secret else "CONFIGURATION_INVALID"
    raise FixRequest(reason, first.message + more, path=first.path, violations=found)


def compatibility(newest: Spec, saved_with: str, configuration: str) -> Compatibility:
    """Tell whether a stored configuration fits the connector's newest version.

    Args:
        newest: The connector's newest version.
        saved_with: The version whose schema the configuration was checked against.
        configuration: As stored.
    """
    if newest.version == saved_with:
        return Compatibility.COMPATIBLE
    if violations(newest, json.loads(configuration)):
        return Compatibility.INCOMPATIBLE
    if offers_more(newest.version, saved_with):
        return Compatibility.UPGRADE_AVAILABLE
    return Compatibility.COMPATIBLE


def connection_url(configuration: str) -> str:
    """Take out of a configuration where the external system is, for display; never with a user or a query."""
    values = json.loads(configuration)
    name = next((name for name in _ADDRESSES if isinstance(values.get(name), str) and values[name]), "")
    if not name:
        return ""
    if name == "host":
        port = values.get("port")
        database = values.get("database") or values.get("dbname")
        return f"{values[name]}{f':{port}' if port else ''}{f'/{database}' if database else ''}"
    return _bare(values[name])


def _bare(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if not parts.scheme or not parts.netloc:
        return address[:500]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:500]


__all__ = ["canonical", "check_configuration", "compatibility", "connection_url", "violations"]
