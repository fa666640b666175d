"""Expressions of mappings and filters: CEL, checked by Google's library and compiled to Python here."""
