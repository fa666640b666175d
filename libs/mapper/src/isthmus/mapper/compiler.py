"""From a definition to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.mapper.errors import MappingInvalid, Violation
from isthmus.mapper.plan import Plan


def compile_mapping(definition: Mapping[str, Any]) -> Plan:
    """Compiles a mapping definition into a plan.

    Raises:
        MappingInvalid: with every mistake in the definition, not only the first.
    """
    raise MappingInvalid(
        [Violation("", "UNSUPPORTED", "The compiler of this build knows no definitions yet.")]
    )


def mapping_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping definition, for editors, forms and generated help."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
