"""The rules about what a connector says of itself."""

import hashlib
import json
import re
from typing import Any

from isthmus.resilience.faults import AlreadyExists, FixRequest, Violation
from isthmus.services.registry.domain.model import EVERYBODY, Connector, Spec
from isthmus.services.registry.domain.schema import schema_trouble
from isthmus.services.registry.domain.semver import is_version

CONNECTOR_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_NOTHING = {"type": "object", "additionalProperties": False}
_LARGEST_SCHEMA = 256 * 1024
_LARGEST_MAPPINGS = 512 * 1024


def read_spec(document: str, *, may_be_built_in: bool) -> Spec:
    """Check a connector's description and take out of it what the registry looks at.

    Args:
        document: The description as canonical JSON of `ConnectorSpec`.
        may_be_built_in: Whether the caller may register what every tenant sees.

    Raises:
        FixRequest: `CONNECTOR_SPEC_INVALID`, with one violation per field.
    """
    told = json.loads(document)
    trouble = _schema_trouble(told.get("configurationSchema", ""))
    found = [*_identity_violations(told), *_contract_violations(told), *_mapping_violations(told)]
    if trouble:
        message = f"Mend the configuration schema: {trouble}."
        found.append(Violation("spec.configuration_schema", "SCHEMA_INVALID", message))
    if told.get("isBuiltIn") and not may_be_built_in:
        message = "Leave out `is_built_in`; only processes of the mesh register what every tenant sees."
        found.append(Violation("spec.is_built_in", "NOT_YOURS", message))
    if found:
        raise FixRequest("CONNECTOR_SPEC_INVALID", found[0].message, path=found[0].path, violations=found)
    return stored_spec(document)


def stored_spec(document: str) -> Spec:
    """Take out of a description that was checked before what the registry looks at."""
    told = json.loads(document)
    return Spec(
        connector_id=told["connectorId"],
        version=told["version"],
        schema=json.loads(told["configurationSchema"]) if told.get("configurationSchema") else _NOTHING,
        digest=told.get("buildDigest") or hashlib.sha256(document.encode()).hexdigest(),
        is_built_in=bool(told.get("isBuiltIn")),
        document=document,
    )


def check_addition(spec: Spec, tenant_id: str, known: Connector | None, same_version: Spec | None) -> bool:
    """Tell whether a description adds something to what is known.

    Args:
        spec: What is to be registered.
        tenant_id: Whose it will be; `*` for everybody's.
        known: The connector of this name that the tenant sees.
        same_version: Its description of the very version.

    Raises:
        AlreadyExists: `CONNECTOR_VERSION_TAKEN`.
    """
    if known is not None and known.tenant_id != tenant_id and known.tenant_id == EVERYBODY:
        message = f"`{spec.connector_id}` comes with this installation; choose another connector id."
        raise AlreadyExists("CONNECTOR_VERSION_TAKEN", message, path="spec.connector_id")
    if same_version is None:
        return True
    if same_version.digest != spec.digest:
        name = f"`{spec.connector_id}` {spec.version}"
        message = f"{name} is registered with other content; raise the version."
        raise AlreadyExists("CONNECTOR_VERSION_TAKEN", message, path="spec.version")
    return False


def is_connector_id(text: str) -> bool:
    """Tell whether a text has the form of a connector id."""
    return len(text) <= 63 and CONNECTOR_ID.fullmatch(text) is not None


def _schema_trouble(text: str) -> str:
    if not text:
        return ""
    if len(text) > _LARGEST_SCHEMA:
        return "it is larger than 256 KiB"
    try:
        return schema_trouble(json.loads(text))
    except (ValueError, RecursionError):
        return "it is no JSON"


def _identity_violations(told: dict[str, Any]) -> list[Violation]:
    found = []
    if not is_connector_id(told.get("connectorId", "")):
        message = "Use lower-case letters, digits and inner dashes for `connector_id`, at most 63."
        found.append(Violation("spec.connector_id", "NAME_INVALID", message))
    if not is_version(told.get("version", "")):
        message = "Use a semantic version for `version`, for example 1.4.0."
        found.append(Violation("spec.version", "VERSION_INVALID", message))
    if not told.get("name", "").strip():
        found.append(Violation("spec.name", "REQUIRED", "Set `name`; people know the connector by it."))
    return found


def _contract_violations(told: dict[str, Any]) -> list[Violation]:
    newest, oldest = told.get("contractVersion", 0), told.get("contractVersionMin", 0)
    if newest >= 1 and 0 <= oldest <= newest:
        return []
    message = "Set `contract_version` to at least 1 and `contract_version_min` to no more than that."
    return [Violation("spec.contract_version", "OUT_OF_RANGE", message)]


def _mapping_violations(told: dict[str, Any]) -> list[Violation]:
    ready = told.get("readyMappings", [])
    names = [one.get("name", "") for one in ready]
    if sum(len(one.get("document", "")) for one in ready) > _LARGEST_MAPPINGS:
        message = "Keep the documents of `ready_mappings` within 512 KiB together."
        return [Violation("spec.ready_mappings", "OUT_OF_RANGE", message)]
    if len(set(names)) < len(names) or not all(map(is_connector_id, names)):
        message = (
            "Give each of `ready_mappings` a name of its own of lower-case letters, digits and inner dashes."
        )
        return [Violation("spec.ready_mappings", "NAME_INVALID", message)]
    return []


__all__ = ["check_addition", "is_connector_id", "read_spec", "stored_spec"]
