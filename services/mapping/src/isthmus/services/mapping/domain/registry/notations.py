"""Schemas in other notations than the one they were given in."""

import json

from isthmus.services.mapping.domain.registry.avro.from_json_schema import avro_of
from isthmus.services.mapping.domain.registry.model import Format, Loss, Version
from isthmus.services.mapping.domain.registry.protobuf.from_json_schema import proto_of


def written(version: Version, form: Format) -> tuple[str, list[Loss]]:
    """Write a version in a notation; its own one gives it as it was added.

    Returns:
        The text, and what is lost on the way.
    """
    definition = version.definition
    if form is definition.format:
        return definition.text, []
    if form is Format.JSON_SCHEMA:
        return json.dumps(json.loads(definition.json_schema), indent=2, ensure_ascii=False), [
            *definition.losses
        ]
    if form is Format.PROTOBUF:
        text, losses = proto_of(json.loads(definition.json_schema), _bare(version.subject))
        return text, [*definition.losses, *losses]
    document, losses = avro_of(json.loads(definition.json_schema), _bare(version.subject))
    return json.dumps(document, indent=2, ensure_ascii=False), [*definition.losses, *losses]


def _bare(subject: str) -> str:
    return subject.rpartition("/")[2]


__all__ = ["written"]
