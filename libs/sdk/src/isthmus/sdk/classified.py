"""Says of the fields of record models how sensitive they are."""

from typing import Any

from isthmus.sdk.model import DataClass
from pydantic import Field

KEYWORD = "x-isthmus-class"
"""The member of a JSON Schema that names the class of what it describes."""


def classified(kind: DataClass) -> Any:
    """Mark a field of a record model: it goes into the annotation, behind the type."""
    return Field(json_schema_extra={KEYWORD: str(kind)})


__all__ = ["KEYWORD", "classified"]
