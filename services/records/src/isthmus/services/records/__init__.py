"""The hub: canonical records, their history, and quarantine."""
