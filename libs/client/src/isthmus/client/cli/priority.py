"""`--priority`: what a start is worth among others that wait for the same hosts."""

import re
from typing import Annotated

import typer
from isthmus.client.manifest.priorities import priority_number
from isthmus.client.problem import ExitCode, Problem

Priority = Annotated[
    str, typer.Option("--priority", help="low, normal, high, or a number; the flow's own when not given.")
]


def priority_of(text: str) -> int | None:
    """Gives the number; None where nothing was said.

    Raises:
        Problem: it is neither a word nor a number.
    """
    match text:
        case "":
            return None
        case "low" | "normal" | "high":
            return priority_number(text)
        case _ if re.fullmatch(r"[+-]?\d{1,4}", text):
            return int(text)
    raise Problem(
        "PRIORITY_UNKNOWN",
        f"{text} is no priority: use low, normal, high, or a number from -1000 to 1000.",
        exit_code=ExitCode.USAGE,
    )


__all__ = ["Priority", "priority_of"]
