"""JSON Schema of the language."""

from __future__ import annotations

from typing import Any


def mapping_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping definition, for editors, forms and generated help."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
