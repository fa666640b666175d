"""Compiles mappings into straight-line Python and runs them; pure Python without I/O."""

from isthmus.mapper.compiler import compile_mapping, fingerprint
from isthmus.mapper.errors import (
    FieldError,
    MappingInvalid,
    MappingStopped,
    RecordRejected,
    Rejection,
    Violation,
)
from isthmus.mapper.outcomes import Lineage, Mapped, Note, Record, Rows
from isthmus.mapper.plan import Plan, TypedPlan, identity_plan
from isthmus.mapper.schema import mapping_schema
from isthmus.mapper.textlines import LineWriter, TextColumn, TextLines, json_of_lines, records_of_lines

__all__ = [
    "FieldError",
    "LineWriter",
    "Lineage",
    "Mapped",
    "MappingInvalid",
    "MappingStopped",
    "Note",
    "Plan",
    "Record",
    "RecordRejected",
    "Rejection",
    "Rows",
    "TextColumn",
    "TextLines",
    "TypedPlan",
    "Violation",
    "compile_mapping",
    "fingerprint",
    "identity_plan",
    "json_of_lines",
    "mapping_schema",
    "records_of_lines",
]
