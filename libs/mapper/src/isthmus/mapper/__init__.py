"""Compiles mappings into straight-line Python and runs them; pure Python without I/O."""
