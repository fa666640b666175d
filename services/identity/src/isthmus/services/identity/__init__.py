"""Tenants, service accounts, API keys, roles and permissions; verifies callers."""
