"""Schemas by name and version: what they say, how they are compared, and other notations of them."""
