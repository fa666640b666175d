"""Compiles mappings into straight-line Python and runs them; pure Python without I/O."""

from isthmus.mapper.compiler import compile_mapping, fingerprint
from isthmus.mapper.errors import FieldError, MappingInvalid, RecordRejected, Violation
from isthmus.mapper.plan import Lineage, Mapped, Plan, Record, Rejection, Rows, TypedPlan, identity_plan
from isthmus.mapper.schema import mapping_schema

__all__ = [
    "FieldError",
    "Lineage",
    "Mapped",
    "MappingInvalid",
    "Plan",
    "Record",
    "RecordRejected",
    "Rejection",
    "Rows",
    "TypedPlan",
    "Violation",
    "compile_mapping",
    "fingerprint",
    "identity_plan",
    "mapping_schema",
]
