"""Connectors, instances, configuration history, and where hosts are."""
