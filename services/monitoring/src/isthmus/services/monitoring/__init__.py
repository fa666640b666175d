"""Integration logs, counters and health."""
