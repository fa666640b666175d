"""Authentication configurations and short-lived leases on secrets kept in the vault."""
