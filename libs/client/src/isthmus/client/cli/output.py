"""How answers are shown: tables for people, JSON and YAML for programs."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.client.cli.table import lines
from rich.console import Console


class Format(StrEnum):
    """What an answer looks like."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="The most rows to show; 0 means all.")]


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading and how its text comes out of an item.

    Attributes:
        heading: In capitals.
        text: Gives the cell; a dash where there is nothing.
        wide: The cell holds sentences; only the last column may.
    """

    heading: str
    text: Callable[[Any], str]
    wide: bool = False


def note(text: str) -> None:
    """Says something that is no part of the answer, on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, style="dim")


def show(items: Iterable[Message], columns: Sequence[Column], output: Format, *, empty: str) -> None:
    """Shows many things; `empty` is what a person reads when there are none."""
    found = list(items)
    if output is not Format.TABLE:
        emit([as_dict(item, output) for item in found], output)
        return
    if not found:
        note(empty)
        return
    headings = [column.heading for column in columns]
    rows = [[column.text(item) for column in columns] for item in found]
    show_table(headings, rows, wide=columns[-1].wide)


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, wide: bool = False, error: bool = False
) -> None:
    """Prints a table for people: as wide as the terminal, or in whole lines where a program reads along.

    Args:
        headings: of the columns.
        rows: their cells.
        wide: the last column holds sentences.
        error: print to standard error, because the answer itself goes elsewhere.
    """
    console = Console(stderr=error, highlight=False, soft_wrap=True, markup=False)
    width = console.width if console.is_terminal else None
    heading, *below = lines(headings, rows, width=width, wide=wide)
    console.print(heading, style="bold")
    for line in below:
        console.print(line)


def show_one(item: Message, output: Format) -> None:
    """Shows one thing with all its fields."""
    emit(as_dict(item, output), Format.YAML if output is Format.TABLE else output)


def emit(value: Any, output: Format) -> None:
    """Writes a plain value as JSON or YAML to standard output."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def as_dict(item: Message, output: Format = Format.JSON) -> dict[str, Any]:
    """Gives a message as a plain dict, with fields that hold JSON text unfolded.

    JSON is for programs and has zeros and empty fields too, so that they are always found; the other
    forms are for people and leave them out.
    """
    found = MessageToDict(
        item,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=output is Format.JSON,
    )
    # Base64 may look like JSON, and is none.
    folded = _JSON_FIELDS - {"record"} if found.get("is_binary") else _JSON_FIELDS
    for name in folded & found.keys():
        try:
            found[name] = unfolded(found[name])
        except (ValueError, RecursionError):
            continue
    return found


def unfolded(text: str) -> Any:
    """Gives what JSON text stands for.

    Raises:
        ValueError: it is none, or cannot be shown without changing it: a name twice, half of a
            surrogate pair, or a number that is none.
    """
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_JSON_FIELDS = {
    "configuration",
    "configuration_schema",
    "limits",
    "data",
    "field_mappings",
    "transformations",
    "golden_samples",
    "source_schema",
    "target_schema",
    "details",
    "filter_criteria",
    "action_config",
    "record",
    "base",
    "source_record",
    "destination_record",
    "result",
    "json_schema",
}


def when(moment: Timestamp) -> str:
    """Gives a time in the user's zone, or a dash."""
    if not moment.seconds:
        return "-"
    return moment.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def word(name: str, prefix: str) -> str:
    """`STATUS_ACTIVE` to `active`."""
    return name.removeprefix(prefix).lower()
