"""Schemas of Avro: read, compared by its rules of resolution, and turned into JSON Schema and back."""
