"""Runs or fronts exactly one connector: serves the contract, pulls jobs, moves records.

Importing this package loads nothing; `isthmus.host.__main__.serve` starts a host.
"""

__all__: list[str] = []
