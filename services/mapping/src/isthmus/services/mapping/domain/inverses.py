"""The way back of a mapping, which has an id of its own and is stored nowhere."""

import json
from dataclasses import replace

from isthmus.mapper.inversion import Inverse, invert_mapping
from isthmus.resilience.faults import Missing
from isthmus.services.mapping.domain.documents import Documents, compiled
from isthmus.services.mapping.domain.model import NO_SAMPLES, MappingVersion

_SUFFIX = "~inverse"


def inverse_id(mapping_id: str) -> str:
    """The id of the way back of a mapping."""
    return f"{mapping_id}{_SUFFIX}"


def base_of(mapping_id: str) -> tuple[str, bool]:
    """The id of the mapping that is stored, and whether its way back is meant."""
    base = mapping_id.removesuffix(_SUFFIX)
    return base, base != mapping_id


def derived(documents: Documents) -> Inverse:
    """The way back of a definition.

    Raises:
        FixRequest: `MAPPING_INVALID` with every mistake.
    """
    compiled(documents)
    return invert_mapping(documents.definition())


def documents_of(inverse: Inverse) -> Documents:
    """The parts of its definition; without one there are no field mappings."""
    definition = inverse.definition or {}
    parts = {name: _text(value) for name, value in definition.items() if name != "version"}
    return Documents(**parts)


def inverted(mapping: MappingVersion) -> MappingVersion:
    """The way back of a version, as flows use it.

    Raises:
        Missing: `MAPPING_NOT_INVERTIBLE`, naming the fields that have none.
    """
    inverse = derived(mapping.documents)
    if not inverse.is_full:
        lost = [f"{loss.target or 'a rule'}: {loss.message}" for loss in inverse.losses if loss.matters]
        told = " ".join(lost[:3]) or "No field leads back."
        more = f" And {len(lost) - 3} more." if len(lost) > 3 else ""
        message = (
            f"Version {mapping.version} of mapping {mapping.name} cannot be turned round. {told}{more} "
            f"`isthmus mappings invert` lists all; give the way back a mapping of its own."
        )
        details = {
            "mapping_id": mapping.mapping_id,
            "version": str(mapping.version),
            "fields": ",".join(loss.target for loss in inverse.losses if loss.matters)[:500],
        }
        raise Missing("MAPPING_NOT_INVERTIBLE", message, metadata=details)
    documents = documents_of(inverse)
    return replace(
        mapping,
        mapping_id=inverse_id(mapping.mapping_id),
        documents=documents,
        fingerprint=documents.fingerprint(),
        golden_samples=NO_SAMPLES,
    )


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


__all__ = ["base_of", "derived", "documents_of", "inverse_id", "inverted"]
