"""How sensitive the fields of records are, where that comes from, and how values are kept out of sight."""

from isthmus.mapper.privacy.classes import (
    KEYWORD,
    PATTERNS,
    WHOLE,
    Classes,
    DataClass,
    annotated,
    class_named,
    classes_of_schema,
)
from isthmus.mapper.privacy.naming import proposed
from isthmus.mapper.privacy.scrubbing import Scrubber, concealed
from isthmus.mapper.privacy.withholding import without_secrets

__all__ = [
    "KEYWORD",
    "PATTERNS",
    "WHOLE",
    "Classes",
    "DataClass",
    "Scrubber",
    "annotated",
    "class_named",
    "classes_of_schema",
    "concealed",
    "proposed",
    "without_secrets",
]
