"""Runs or fronts exactly one connector: serves the contract, pulls jobs, moves records."""
