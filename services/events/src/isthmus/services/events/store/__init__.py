"""The only SQL of the events service."""
