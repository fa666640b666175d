"""Prints the whole surface of the contract as one readable list, for review and for comparison.

One line for every RPC (with its permission, and what it is to the audit trail), message field, enum value
and event subject.
"""

import importlib
import re
import sys
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from isthmus.kit.permissions import audited
from isthmus.type.v1 import permission_pb2

PROTO_ROOT = Path(__file__).resolve().parents[2] / "proto"


def files() -> list[FileDescriptor]:
    """Imports the generated module of every contract file, in order of path."""
    paths = sorted(PROTO_ROOT.rglob("*.proto"))
    names = [".".join(path.relative_to(PROTO_ROOT).with_suffix("").parts) + "_pb2" for path in paths]
    return [importlib.import_module(name).DESCRIPTOR for name in names]


def _type(field: FieldDescriptor) -> str:
    names = {
        value: name.removeprefix("TYPE_").lower()
        for name, value in vars(FieldDescriptor).items()
        if name.startswith("TYPE_")
    }
    kind = (
        field.message_type.full_name
        if field.message_type
        else field.enum_type.full_name
        if field.enum_type
        else names[field.type]
    )
    return ("repeated " if field.is_repeated else "") + kind


def _enum(enum: EnumDescriptor) -> list[str]:
    return [f"enum {enum.full_name}.{value.name} = {value.number}" for value in enum.values]


def _message(message: Descriptor) -> list[str]:
    lines = []
    for field in message.fields:
        redact = " [debug_redact]" if field.GetOptions().debug_redact else ""
        lines.append(f"field {message.full_name}.{field.name} = {field.number} {_type(field)}{redact}")
    for enum in message.enum_types:
        lines += _enum(enum)
    for nested in message.nested_types:
        lines += _message(nested)
    return lines


def _services(file: FileDescriptor) -> list[str]:
    lines = []
    for service in file.services_by_name.values():
        for method in service.methods:
            permission = method.GetOptions().Extensions[permission_pb2.permission]
            request = ("stream " if method.client_streaming else "") + method.input_type.full_name
            answer = ("stream " if method.server_streaming else "") + method.output_type.full_name
            kind = audited(method)
            trail = f", audited as {kind}" if kind else ""
            lines.append(f"rpc {method.full_name}({request}) -> {answer} needs {permission}{trail}")
    return lines


def _subjects(path: Path) -> list[str]:
    """Event subjects come from the payload comments: ``Payload of `entity.verb`, … ``."""
    service = path.parts[-3]
    text = re.sub(r"\n// ", " ", path.read_text())
    found = re.findall(r"Payload of ((?:`[a-z_.]+`(?:, | and |: |\.)\s*)+)", text)
    names = sorted({name for group in found for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", group)})
    return [f"event isthmus.v1.<tenant>.{service}.{name}" for name in names]


def surface() -> str:
    """Gives the list as text, sorted by file, each line ended by a line break."""
    lines: list[str] = []
    for file in files():
        lines += _services(file)
        for enum in file.enum_types_by_name.values():
            lines += _enum(enum)
        for message in file.message_types_by_name.values():
            lines += _message(message)
        lines += _subjects(PROTO_ROOT / file.name)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(surface())
