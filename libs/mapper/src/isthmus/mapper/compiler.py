"""From a definition to a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from isthmus.mapper.compatibility import check_schemas
from isthmus.mapper.errors import MappingInvalid
from isthmus.mapper.generation import generate
from isthmus.mapper.lineage import block_paths, lineage_of
from isthmus.mapper.paths import format_path
from isthmus.mapper.plan import Plan
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.typed import typed_plan


def compile_mapping(definition: Mapping[str, Any]) -> Plan:
    """Compiles a mapping definition into a plan.

    Args:
        definition: JSON as `mapping_schema` describes it; docs/mapping.md explains the language.

    Raises:
        MappingInvalid: with every mistake in the definition, not only the first.
    """
    raw = dict(definition) if isinstance(definition, Mapping) else definition
    report = Report()
    read = read_definition(raw, report)
    if read is None:
        report.finish()
        raise MappingInvalid(())
    if not report.violations:
        check_schemas(read, report)
    report.finish()
    return Plan(
        fingerprint=fingerprint(raw),
        transform=generate(read),
        sources=tuple(sorted({format_path(path) for path in block_paths(read.block)})),
        lineage=lineage_of(read.block),
        keeps_unmapped=read.block.keep_unmapped,
        _typing=partial(typed_plan, read),
    )


def fingerprint(definition: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a definition, in hexadecimal."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
