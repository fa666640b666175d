"""How the shape of records changes: what they look like, what differs, and whom that harms."""

from isthmus.mapper.drift.difference import Change, ChangeKind, Reads, compare, describe, moved
from isthmus.mapper.drift.shape import Shape, fits, infer, kind_of_json, merged, only, without
from isthmus.mapper.drift.translation import schema_of, shape_of_schema

__all__ = [
    "Change",
    "ChangeKind",
    "Reads",
    "Shape",
    "compare",
    "describe",
    "fits",
    "infer",
    "kind_of_json",
    "merged",
    "moved",
    "only",
    "schema_of",
    "shape_of_schema",
    "without",
]
