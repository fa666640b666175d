"""Who the connector is, what it can be told, and what it offers."""

import json
import re
from typing import Any

from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.testing.conformance.subject import Subject
from isthmus.testing.conformance.verdicts import check, expect, skip

_ID = re.compile(r"[a-z][a-z0-9-]{1,62}")
_VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


@check("describe.identity")
async def identity(subject: Subject) -> None:
    """The connector says who it is: id, name, semantic version, contract version."""
    spec = subject.spec
    expect(
        _ID.fullmatch(spec.connector_id),
        f"connector_id {spec.connector_id!r} is no short name like `acme-itsm`",
    )
    expect(spec.name and spec.description, "name and description say nothing to a person who chooses")
    expect(_VERSION.fullmatch(spec.version), f"version {spec.version!r} is no semantic version")
    expect(spec.contract_version >= 1, "contract_version is not told")


@check("describe.configuration")
async def configuration(subject: Subject) -> None:
    """The schema of the configuration is a JSON Schema that describes each setting."""
    schema = _schema(subject.spec.configuration_schema, "configuration_schema")
    expect(schema.get("type") == "object", "configuration_schema is not that of an object")
    for name, member in schema.get("properties", {}).items():
        told = member.get("description") or member.get("title") or member.get("$ref")
        expect(told, f"setting {name!r} has no description")


@check("describe.streams")
async def streams(subject: Subject) -> None:
    """Every stream has a schema and says how it can be read or written; what can be read has a key."""
    expect(subject.streams, "there is no stream")
    for name, stream in subject.streams.items():
        _schema(stream.json_schema or "{}", f"the schema of {name}")
        expect(stream.read_modes or stream.write_modes, f"{name} can be neither read nor written")
        if stream.write_modes and pb.WRITE_MODE_CREATE not in stream.write_modes:
            expect(stream.primary_key, f"{name} is written by key and names none")


@check("describe.actions")
async def actions(subject: Subject) -> None:
    """Every action says in JSON Schemas what it takes and gives."""
    if not subject.spec.actions:
        skip("there are no actions")
    for action in subject.spec.actions:
        expect(action.description, f"action {action.action} has no description")
        _schema(action.input_schema or "{}", f"the input schema of {action.action}")
        _schema(action.output_schema or "{}", f"the output schema of {action.action}")


@check("discover.stable")
async def stable(subject: Subject) -> None:
    """Two discoveries of the same system tell the same, in the same order."""
    first, second = await subject.discover(), await subject.discover()
    names = [one.stream for one in first]
    expect(names == sorted(set(names)), f"streams are not sorted by name, or told twice: {names}")
    expect(
        [one.SerializeToString(deterministic=True) for one in first]
        == [one.SerializeToString(deterministic=True) for one in second],
        "two discoveries tell different streams",
    )


def _schema(text: str, what: str) -> dict[str, Any]:
    from jsonschema import Draft202012Validator, SchemaError

    try:
        schema = json.loads(text)
        Draft202012Validator.check_schema(schema)
    except (ValueError, SchemaError) as error:
        expect(False, f"{what} is no JSON Schema: {str(error).splitlines()[0]}")
    return dict(schema)
