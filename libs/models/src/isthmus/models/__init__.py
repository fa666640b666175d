"""Canonical models: the shapes that records of different systems are brought into, as JSON Schema."""

from isthmus.models.catalogue import Model, ModelUnknown, Standard, model, models, references, schema_of

__all__ = ["Model", "ModelUnknown", "Standard", "model", "models", "references", "schema_of"]
