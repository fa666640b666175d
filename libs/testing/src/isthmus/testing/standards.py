"""What others, who know a standard, say of a record that is meant to follow it.

Their packages are development dependencies of the workspace and imported only where they are asked.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["JUDGED", "complaints"]

Record = dict[str, Any]


def complaints(model: str, record: Record) -> list[str]:
    """Everything that an independent validator has against a record; empty where it has nothing.

    Args:
        model: Name of a model of `isthmus.models`, without its version; one of `JUDGED`.
        record: What is judged.
    """
    return _JUDGES[model.partition("/")[0]](model, record)


def _ocsf(model: str, record: Record) -> list[str]:
    """The models that ocsf-emitter generates from OCSF 1.5.0, with what its classes are numbered."""
    from ocsf_emitter import class_spec_by_uid, models

    uid = record.get("class_uid")
    spec = class_spec_by_uid(uid) if isinstance(uid, int) else None
    if spec is None or spec.ocsf_class.value != model.partition("/")[2]:
        return [f"class_uid is {uid}, which is not {model}"]
    found = []
    if record.get("type_uid") != spec.class_uid * 100 + record.get("activity_id", 0):
        found.append("type_uid is not class_uid * 100 + activity_id")
    return [*found, *_by_pydantic(getattr(models, spec.model_name), record)]


def _oscal(model: str, record: Record) -> list[str]:
    """The models of compliance-trestle, which are closed: an unknown name is a complaint."""
    from trestle.oscal import assessment_results, catalog, common

    kinds = {
        "oscal/control": catalog.Control,
        "oscal/assessment_result": assessment_results.Result,
        "oscal/observation": common.Observation,
        "oscal/finding": common.Finding,
        "oscal/evidence_link": common.RelevantEvidence,
    }
    return _by_pydantic(kinds[model], record)


def _scim(model: str, record: Record) -> list[str]:
    """The resources of scim2-models."""
    from scim2_models import EnterpriseUser, Group, User

    return _by_pydantic(User[EnterpriseUser] if model == "scim/user" else Group, record)


def _stix(_: str, record: Record) -> list[str]:
    """The validator of OASIS, which reads the pattern as well."""
    from stix2validator import ValidationOptions, validate_instance

    options = ValidationOptions(version="2.1", disabled="all")
    return [str(error) for error in validate_instance(record, options).errors]


def _by_pydantic(kind: Any, record: Record) -> list[str]:
    from pydantic import ValidationError

    try:
        kind.model_validate(record)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


_JUDGES: dict[str, Callable[[str, Record], list[str]]] = {
    "ocsf": _ocsf,
    "oscal": _oscal,
    "scim": _scim,
    "stix": _stix,
}

JUDGED = (
    "ocsf/account_change",
    "ocsf/authentication",
    "ocsf/compliance_finding",
    "ocsf/detection_finding",
    "ocsf/incident_finding",
    "ocsf/vulnerability_finding",
    "oscal/assessment_result",
    "oscal/control",
    "oscal/evidence_link",
    "oscal/finding",
    "oscal/observation",
    "scim/group",
    "scim/user",
    "stix/indicator",
)
"""The models that there is an independent validator for."""
