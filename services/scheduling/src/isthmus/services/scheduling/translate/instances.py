"""What scheduling reads out of an instance."""

import json


def most_executions(limits: str) -> int:
    """Read how many executions may be at work with an instance at a time; 0 means any number."""
    return int(json.loads(limits).get("executions", 0)) if "executions" in limits else 0


__all__ = ["most_executions"]
