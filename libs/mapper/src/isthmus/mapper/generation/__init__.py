"""Writes one straight-line Python function for a definition.

No text of a definition becomes code: names, constants, paths and functions are bound as objects
under generated identifiers, and the source consists of fixed templates around those identifiers.
"""

from isthmus.mapper.generation.blocks import generate, generate_source

__all__ = ["generate", "generate_source"]
