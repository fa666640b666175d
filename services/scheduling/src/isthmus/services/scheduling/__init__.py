"""Flows, schedules, executions, attempts and checkpoints; dispatches jobs."""
