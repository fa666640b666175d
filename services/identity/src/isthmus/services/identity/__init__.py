"""Knows every caller and what it may do: tenants, service accounts, API keys, roles."""
