"""Many records are mapped straight through, and become what each becomes by itself.

`ISTHMUS_EVALUATIONS` asks for more than a usual run, `ISTHMUS_SEED` for others.
"""

import importlib.util
import io
import json
import keyword
import os
import random
import re
import sys
import tokenize
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from isthmus.mapper import MappingInvalid, Plan, RecordRejected, compile_mapping
from isthmus.mapper.generation.batches import generate_batch_source
from isthmus.mapper.outcomes import Mapped, Rows
from isthmus.mapper.plan import Batches
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report

EVALUATIONS = int(os.environ.get("ISTHMUS_EVALUATIONS") or 2_000)
SEED = int(os.environ.get("ISTHMUS_SEED") or 1)
_SPEC = importlib.util.spec_from_file_location("cel_samples", Path(__file__).with_name("cel_samples.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
samples = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(samples)

TARGETS = ("a", "b", "c.d", "c.e", "f.g.h", "__class__", "None", "class", "__dict__.x", "ü b", *"ijklmnopq")
encode = msgspec.json.encode
TITLE = [{"target": "id", "source": "id"}, {"target": "t", "expression": "record.title + '!'"}]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batches, "worth", 0)


def plan_of(fields: list[dict[str, Any]], **transformations: Any) -> Plan:
    """Compile field mappings."""
    given = {"version": "isthmus/v1", "transformations": transformations, "field_mappings": fields}
    return compile_mapping(given)


def one_by_one(plan: Any, records: list[Any]) -> list[Any]:
    """What each record becomes by itself, with its members in order."""
    found: list[Any] = []
    for record in records:
        try:
            made = plan.apply(record)
        except RecordRejected as rejected:
            made = rejected.errors
        found.append(ordered(made))
    return found


def ordered(made: Any) -> Any:
    """Something made, so that it shows the order of members and tells 1 from 1.0 and true."""
    return repr(made)


def all_at_once(mapped: Mapped | Rows, count: int) -> list[Any]:
    """The same of a batch."""
    found: list[Any] = [ordered(None)] * count
    for index, made in zip(mapped.indexes, mapped.records, strict=True):
        found[index] = ordered(made)
    for rejection in mapped.rejected:
        found[rejection.index] = ordered(rejection.errors)
    return found


def random_plan(chance: random.Random) -> Plan:
    """A mapping of several expressions with what may surround them."""
    fields: list[dict[str, Any]] = []
    for target in chance.sample(TARGETS, chance.choice((1, 2, 3, 3, 4, 18))):
        field: dict[str, Any] = {"target": target, "expression": samples.Writer(chance).write()}
        if chance.random() < 0.2:
            field = {"target": target, "source": chance.choice(samples.NAMES)}
        for name, value in (
            ("when", {"expression": samples.Writer(chance).boolean(1)}),
            ("when", {"path": chance.choice(samples.NAMES), "is_null": False}),
            ("default", chance.choice((None, "x", 1, {"y": []}))),
            ("required", True),
            ("nulls", "keep"),
            ("steps", [chance.choice(("trim", "lower", {"cast": "string"}))]),
        ):
            if chance.random() < 0.1:
                field[name] = value
        fields.append(field)
    where = {"where": {"expression": samples.Writer(chance).boolean(1)}} if chance.random() < 0.3 else {}
    return plan_of(fields, **where)


def test_many_records_become_what_each_becomes():
    """Whole and damaged records, as dictionaries, structs and rows, give the same values and errors."""
    evaluations = number = 0
    different: list[Any] = []
    while evaluations < EVALUATIONS:
        number += 1
        chance = random.Random(f"{SEED} {number}")
        try:
            plan = random_plan(chance)
        except MappingInvalid:
            continue
        records = [samples.record(chance) for _ in range(30)]
        pairs = [(one_by_one(plan, records), all_at_once(plan.apply_many(records), len(records)))]
        if (typed := plan.typed(())) is not None:
            decoded = []
            with suppress(msgspec.ValidationError):
                decoded = msgspec.json.decode(msgspec.json.encode(records), type=list[typed.record_type])  # type: ignore[name-defined]
            mapped = typed.apply_many(decoded)
            pairs.append((one_by_one(typed, decoded), all_at_once(mapped, len(decoded))))
            pairs.append(([*map(encode, mapped.records)], [*map(encode, typed.rows(decoded).records)]))
        evaluations += len(records) * len(plan.lineage) * len(pairs)
        different += [(plan, *pair) for pair in pairs if pair[0] != pair[1]]
    sys.stdout.write(f"{number} mappings, {evaluations} evaluations, {len(different)} batches differ\n")

    assert different[:1] == []


def test_one_record_tells_nothing_of_the_next():
    """What was read of one record is not taken for the next one's."""
    plan = plan_of(
        [{"target": "x", "expression": "record.a + record.b"}, {"target": "y", "expression": "record.b * 2"}]
    )
    records = [{"a": 1, "b": 2}, {"a": 1}, {"b": 3}, {"a": "p", "b": "q"}, {"a": 5, "b": 6}]

    assert all_at_once(plan.apply_many(records), 5) == one_by_one(plan, records)


@pytest.mark.parametrize(
    "value",
    [None, True, 2**64, 2**40, 1.5, "ü", "x" * 1_025, "ü" * 700_000, "\ud800", ["a"], {"a": 1}, b"x"],
    ids=[
        "null",
        "true",
        "huge",
        "large",
        "number",
        "umlaut",
        "long",
        "too long",
        "half",
        "list",
        "object",
        "bytes",
    ],
)
def test_unusual_values_are_looked_at(value: Any):
    """What is no short ASCII text is stored, left out or refused as ever."""
    plan = plan_of(
        [*TITLE, {"target": "v", "expression": "record.v"}, {"target": "w", "expression": "'>' + record.w"}]
    )
    record = {"id": 1, "title": "t", "v": value, "w": value}
    records = [{**record, "w": "w"}, record, {"id": 2, "title": "t", "v": "v", "w": "w"}]

    assert all_at_once(plan.apply_many(records), 3) == one_by_one(plan, records)


def test_where_too_many_are_unusual_the_rest_goes_one_by_one():
    """The counts and places of a batch in which every record fails, or is left out, are right."""
    plan = plan_of(TITLE, where={"expression": "record.n % 3 != 0"})
    records: list[Any] = [{"n": n, "title": None if n % 3 == 1 else "t"} for n in range(300)]

    mapped = plan.apply_many(records)

    assert (mapped.filtered, len(mapped.rejected), mapped.indexes) == (100, 100, list(range(2, 300, 3)))
    assert [each.index for each in mapped.rejected] == list(range(1, 300, 3))


def test_texts_of_a_definition_are_constants_and_never_code():
    """The source holds generated identifiers only, and the function sees no builtins."""
    hostile = "__import__('os').system('id')"
    quoted = '"' + hostile.replace('"', '\\"') + '"'
    fields = [
        {"target": quoted, "expression": f'record.title + "{hostile}"'},
        {"target": f"b.{quoted}", "source": quoted, "when": {"expression": f'record.a == "{hostile}"'}},
    ]
    read = read_definition({"version": "isthmus/v1", "field_mappings": fields}, Report())
    assert read is not None

    source, namespace = generate_batch_source(read)

    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    ours = {
        "transform",
        "rs",
        "r",
        "t",
        "m",
        "v",
        "made",
        "odd",
        "skip",
        "append",
        "isascii",
        "get",
        "__class__",
        "__dict__",
    }
    assert all(
        name in namespace or name in ours or keyword.iskeyword(name) or re.fullmatch(r"[abdosz]\d+", name)
        for name in names
    )
    assert not [token for token in tokens if token.type == tokenize.STRING]
    assert namespace["__builtins__"] == {}


PYTHONS_OWN = [
    "__class__",
    "__dict__",
    "__init__",
    "__slots__",
    "__getattribute__",
    "mro",
    "append",
    "k1",
    "r",
    "def",
]


@pytest.mark.parametrize("name", PYTHONS_OWN)
def test_names_that_mean_something_to_python_are_names(name: str):
    """Targets and members called like Python's own are made and read as data, whatever stands in them."""
    fields = [
        {"target": f'"{name}"', "expression": f"record[{json.dumps(name)}]"},
        {"target": f'in."{name}"', "source": f'"{name}"'},
        {"target": "text", "expression": f"record.text + {json.dumps(name)}"},
    ]
    records: list[dict[str, Any]] = [{name: value, "text": name} for value in ("x", 1, None, {"a": []})]

    made = plan_of(fields).apply_many(records).records

    assert [type(record) for record in made] == [dict] * 4
    assert made[0] == {name: "x", "in": {name: "x"}, "text": name * 2}
    assert made[2] == {"text": name * 2}
    assert [ordered(record) for record in made] == one_by_one(plan_of(fields), records)
