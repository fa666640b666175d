"""Knows which connectors exist, which connections are configured, and where hosts run."""
