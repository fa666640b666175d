"""Schemas of Protocol Buffers: read, compared field by field, and turned into JSON Schema and back."""
