"""The pages on mappings say what is so: their examples run."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from isthmus.mapper import RecordRejected, compile_mapping, mapping_schema

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PAGES = [
    "docs/mapping.md",
    "docs/expressions.md",
    "docs/functions.md",
    "libs/mapper/README.md",
    "services/mapping/README.md",
]
EXAMPLES = [
    pytest.param(list(yaml.safe_load_all(block)), id=f"{page}:{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
]


def outcome(plan: Any, record: dict[str, Any]) -> Any:
    """Map one record and write the outcome the way the page does."""
    try:
        result = plan.parts(record, now=NOW) if plan.splits else plan.apply(record, now=NOW)
    except RecordRejected as rejected:
        shown = [(e.target, e.source, e.reason, e.value, e.rule) for e in rejected.errors]
        members = ("target", "source", "reason", "value", "rule")
        errors = [dict(zip(members, values, strict=True)) for values in shown]
        return {"rejected": [{k: v for k, v in e.items() if v or k not in {"value", "rule"}} for e in errors]}
    return "filtered" if result is None else result


@pytest.mark.parametrize("documents", EXAMPLES)
def test_examples_do_what_the_page_says(documents: list[Any]) -> None:
    """A record of an example becomes what stands behind it."""
    definition, *cases = documents
    plan = compile_mapping(definition)

    for record, expected in zip(cases[::2], cases[1::2], strict=True):
        assert outcome(plan, record) == expected


@pytest.mark.parametrize("documents", EXAMPLES)
def test_examples_fit_the_published_schema(documents: list[Any]) -> None:
    """An editor that knows the JSON Schema accepts what the compiler accepts."""
    jsonschema.Draft202012Validator(mapping_schema()).validate(documents[0])


def test_the_published_schema_is_one() -> None:
    """The schema itself is valid JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(mapping_schema())
