"""How sensitive the fields of records are, where that comes from, and how values are kept out of sight."""

from isthmus.mapper.privacy.classes import (
    KEYWORD,
    Classes,
    DataClass,
    annotated,
    class_named,
    classes_of_schema,
)
from isthmus.mapper.privacy.scrubbing import Scrubber, concealed
from isthmus.mapper.privacy.withholding import without_secrets

__all__ = [
    "KEYWORD",
    "Classes",
    "DataClass",
    "Scrubber",
    "annotated",
    "class_named",
    "classes_of_schema",
    "concealed",
    "without_secrets",
]
