"""How answers are shown: tables for people, JSON and YAML for programs."""

import json
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
from rich.console import Console
from rich.table import Table


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
    """One column of a table: its heading and how its text comes out of an item."""

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
        emit([as_dict(item) for item in found], output)
        return
    if not found:
        note(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, overflow="fold", no_wrap=not column.wide)
    for item in found:
        table.add_row(*(_plain(column.text(item)) for column in columns))
    _printer().print(table)


def show_one(item: Message, output: Format) -> None:
    """Shows one thing with all its fields."""
    emit(as_dict(item), Format.YAML if output is Format.TABLE else output)


def emit(value: Any, output: Format) -> None:
    """Writes a plain value as JSON or YAML to standard output."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def as_dict(item: Message) -> dict[str, Any]:
    """Gives a message as a plain dict, with fields that hold JSON text unfolded."""
    found = MessageToDict(item, preserving_proto_field_name=True, always_print_fields_with_no_presence=False)
    for name in _JSON_FIELDS & found.keys():
        try:
            found[name] = json.loads(found[name])
        except ValueError:
            continue
    return found


_JSON_FIELDS = {
    "configuration",
    "configuration_schema",
    "data",
    "field_mappings",
    "transformations",
    "source_schema",
    "target_schema",
    "details",
    "filter_criteria",
    "action_config",
    "record",
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


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _printer() -> Console:
    # A pipe gets whole lines: cutting columns to 80 characters would lose ids.
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=240)
