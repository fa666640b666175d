"""User text never becomes code, and what is generated has no way out."""

import io
import keyword
import re
import tokenize
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.mapper import MappingInvalid, compile_mapping
from isthmus.mapper.generation import generate_source
from isthmus.mapper.lineage import block_reads
from isthmus.mapper.model import Definition
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.shapes import shape_of

HOSTILE = [
    "__import__('os').system('id')",
    "'+__import__('os').system('id')+'",
    "{__class__}",
    "\n    import os\n",
    "a'); raise SystemExit('",
    "\\'; x = 1 #",
    "{r.__class__.__mro__}",
    "lambda: 0",
    "\u2028import os",
]
FIXED = {
    "r",
    "t",
    "m",
    "e",
    "o",
    "v",
    "x",
    "z",
    "transform",
    "get",
    "lower",
    "upper",
    "strip",
    "isascii",
    "replace",
    "isdigit",
    "located",
}
texts = st.sampled_from(HOSTILE) | st.text(max_size=20)


def definition_of(text: str) -> dict[str, Any]:
    """Put one text wherever a definition takes text."""
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {
        "version": "isthmus/v1",
        "transformations": {
            "tables": {"t": {"entries": {text: text}, "default": text}},
            "where": {"any": [{"path": quoted, "equals": text}, {"path": "a", "not_equals": text}]},
        },
        "field_mappings": [
            {"target": quoted, "source": quoted, "steps": [{"prepend": text}], "default": text},
            {"target": f"b.{quoted}", "constant": text},
            {"target": "c", "template": f"{text.replace('{', '{{').replace('}', '}}')}{{{quoted}?}}"},
            {"target": "d", "source": f"a.{quoted}", "table": "t"},
            {"target": "f", "concat": {"values": [quoted], "separator": text}},
            {
                "target": "g",
                "items": {"source": "a", "field_mappings": [{"target": quoted, "source": quoted}]},
            },
        ],
    }


def _for_structs(read: Definition) -> tuple[str, dict[str, Any]]:
    shape = shape_of(block_reads(read.block), ["id", "a.b"])
    assert shape is not None
    return generate_source(read, shape, msgspec.defstruct("Row", []))


@settings(deadline=None)
@given(texts, st.booleans())
def test_generated_source_holds_generated_identifiers_only(text: str, structs: bool) -> None:
    """Whatever a definition says, its source consists of our templates."""
    report = Report()
    read = read_definition(definition_of(text), report)
    if read is None or report.violations:
        return
    source, namespace = (generate_source(read), _for_structs(read))[structs]

    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    names = {
        token.string
        for token in tokens
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string)
    }
    assert names - FIXED - {"__class__", "f"} <= namespace.keys() | {
        n for n in names if re.fullmatch(r"[bdfnos]\d+", n)
    }
    strings = {token.string for token in tokens if token.type == tokenize.STRING}
    assert all(re.fullmatch(r"f'(\{[a-z]+\d+\})*'|''", string) for string in strings)


@settings(deadline=None)
@given(texts)
def test_text_arrives_as_text(text: str) -> None:
    """A constant that looks like code comes out as the same text."""
    field = {"target": "out", "constant": text}
    try:
        plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})
    except MappingInvalid:
        return

    assert plan.apply({}) == {"out": text}


def test_generated_code_sees_no_builtins() -> None:
    """Even a mistake in a template could not open a file."""
    read = read_definition(definition_of("x"), Report())
    assert read is not None

    _, namespace = generate_source(read)

    assert namespace["__builtins__"] == {}
