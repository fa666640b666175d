"""What may be said about the limits of one connection, as a JSON Schema with bounds and defaults.

The service that stores limits, the command line that reads them from a file and the SDK that
keeps to them take the words from here.
"""

from typing import Any


def _whole(lowest: int, highest: int, default: int, description: str) -> dict[str, Any]:
    return {
        "type": "integer",
        "minimum": lowest,
        "maximum": highest,
        "default": default,
        "description": description,
    }


def _seconds(lowest: float, highest: float, default: float, description: str) -> dict[str, Any]:
    return {
        "type": "number",
        "minimum": lowest,
        "maximum": highest,
        "default": default,
        "description": description,
    }


def _members(description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": False,
    }


LIMITS_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Limits",
    **_members(
        "How patient and how demanding one connection is; what is left out has its default.",
        retry=_members(
            "How a call that failed is repeated, where repeating is safe and may help.",
            strategy={
                "enum": ["exponential", "fixed", "linear"],
                "default": "exponential",
                "description": "Waits that double with full jitter, stay the same, or grow by the first one.",
            },
            attempts=_whole(1, 20, 5, "Tries in all, the first included."),
            first_wait_seconds=_seconds(0, 3600, 1.0, "The wait after the first failure."),
            longest_wait_seconds=_seconds(
                0, 3600, 60.0, "No wait is longer; a system that asks for more ends the tries."
            ),
            total_seconds=_seconds(0.1, 3600, 300.0, "The time for all tries and waits together."),
        ),
        breaker=_members(
            "When a system that keeps failing is left alone, and when it is tried again.",
            failures=_whole(1, 1000, 5, "Failures in a row that open it."),
            open_seconds=_seconds(0.1, 3600, 60.0, "How long it stays open."),
            successes=_whole(1, 100, 3, "Successes in a row that close it again."),
        ),
        rate={
            "type": "string",
            "pattern": r"^[1-9][0-9]{0,5}(\.[0-9]{1,3})?/(s|sec|second|m|min|minute|h|hour|d|day)$",
            "examples": ["10/s", "600/min", "5000/hour"],
            "description": "Most calls in a time; takes the place of the connector's own rate.",
        },
        concurrent=_whole(1, 100, 16, "Most calls at a time."),
        executions={
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "description": "Most executions at work with it at a time, either way; others wait.",
        },
        timeouts=_members(
            "How long one try may take.",
            connect_seconds=_seconds(0.1, 300, 10.0, "Until a connection has come about."),
            read_seconds=_seconds(0.1, 3600, 30.0, "The longest silence inside an answer."),
            write_seconds=_seconds(0.1, 3600, 30.0, "The longest standstill while a request is sent."),
            total_seconds=_seconds(0.1, 3600, 120.0, "One call with its whole answer."),
        ),
        max_answer_bytes=_whole(
            1024, 268_435_456, 67_108_864, "The largest answer taken, after decompression."
        ),
        max_pages=_whole(1, 100_000_000, 1_000_000, "Pages of one reading, before it counts as endless."),
    ),
}

__all__ = ["LIMITS_SCHEMA"]
