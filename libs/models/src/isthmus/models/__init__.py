"""Canonical models: the shapes that records of different systems are brought into, as JSON Schema."""

from isthmus.models.catalogue import Model, ModelUnknown, Standard, model, models, references, schema_of
from isthmus.models.outlines import Field, outline

__all__ = [
    "Field",
    "Model",
    "ModelUnknown",
    "Standard",
    "model",
    "models",
    "outline",
    "references",
    "schema_of",
]
