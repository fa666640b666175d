"""The only SQL of the scheduling service."""
