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
from isthmus.mapper.model import Definition
from isthmus.mapper.paths import format_path
from isthmus.mapper.plan import Plan
from isthmus.mapper.privacy.classes import Classes, DataClass, classes_of_schema
from isthmus.mapper.privacy.deriving import derived, lowered
from isthmus.mapper.reading.mapping import read_definition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.ruling import NOTED
from isthmus.mapper.typed import batches_of, typed_plan


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
        sources=tuple(sorted({format_path(path) for path in block_paths(read.whole)})),
        lineage=lineage_of(read.block, read.inside),
        keeps_unmapped=read.block.keep_unmapped,
        source_classes=classes_of_schema(read.source_schema) if read.source_schema else {},
        unclassified=read.unclassified or DataClass.INTERNAL,
        plugins=dict(sorted(report.plugins.items())),
        splits=read.split is not None,
        notes=any(rule.consequence in NOTED for rule in read.block.rules),
        _deriving=partial(_derived, read),
        _lowering=partial(_lowered, read),
        _typing=partial(typed_plan, read),
        _batches=batches_of(read),
    )


def _derived(read: Definition, source: Classes) -> Classes:
    """Classes of a mapping's results; its schemas may tell of them as well."""
    made = derived(read.block, source, read.inside)
    told = classes_of_schema(read.target_schema) if read.target_schema else {}
    named = {format_path(field.target) for field in read.block.fields if field.data_class is not None}
    default = source.default if read.block.keep_unmapped else DataClass.INTERNAL
    made = {path: kind for path, kind in made.items() if kind is not default}
    made |= {path: kind for path, kind in told.items() if path not in named}
    return Classes(made, default)


def _lowered(read: Definition, source: Classes) -> list[tuple[str, DataClass, DataClass]]:
    """What a mapping makes less sensitive than its sources, by a rule or by its target schema."""
    found = list(lowered(read.block, source, read.inside))
    named = {format_path(field.target) for field in read.block.fields if field.data_class is not None}
    made = derived(read.block, source, read.inside)
    told = classes_of_schema(read.target_schema) if read.target_schema else {}
    for path, kind in told.items():
        if path not in named and kind < made.get(path, DataClass.PUBLIC):
            found.append((path, made[path], kind))
    return found


def fingerprint(definition: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a definition, in hexadecimal."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
