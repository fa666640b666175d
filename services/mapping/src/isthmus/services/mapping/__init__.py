"""Mappings and their versions; validates, tests and compiles them."""
