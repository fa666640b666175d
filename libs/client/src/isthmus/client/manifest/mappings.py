"""Mappings of documents as the mapping service takes them."""

import json

from isthmus.client.manifest.document import MappingSpec


def mapping_fields(name: str, spec: MappingSpec, instance_id: str) -> dict[str, str]:
    """The fields that creating and updating a mapping have in common.

    Args:
        name: What the mapping is called.
        spec: What its document says.
        instance_id: The instance it is made for; empty when it is made for no particular one.
    """
    return {
        "name": name,
        "description": spec.description,
        "instance_id": instance_id,
        "source_schema": json.dumps(spec.source_schema) if spec.source_schema else "",
        "target_schema": json.dumps(spec.target_schema) if spec.target_schema else "",
        "field_mappings": json.dumps(spec.field_mappings),
        "transformations": json.dumps(spec.transformations) if spec.transformations else "",
        "golden_samples": json.dumps(spec.golden_samples),
    }


__all__ = ["mapping_fields"]
