"""Which flows would not go on as before if another version of their mapping were active.

What counts is what would put every record of a flow in quarantine, or write what its destination knows as
something else: a key that is not made any more, a field of another type, a required field made from what the
source does not have. What a version newly maps, leaves out or makes in another way is its purpose.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.mapper import Plan
from isthmus.mapper.drift import ChangeKind, Reads, Shape, compare, shape_of_schema
from isthmus.mapper.paths import Path, PathInvalid, parse_path
from isthmus.mapper.provenance import Provenance
from isthmus.models import schema_of
from isthmus.resilience.faults import Precondition
from isthmus.services.mapping.domain.documents import Documents, plan_of
from isthmus.services.mapping.domain.effects import provenance

_MOST_NAMED = 10
_OPEN_WORDS = ("anyOf", "oneOf", "allOf", "if", "patternProperties", "$ref", "$dynamicRef")


@dataclass(frozen=True, slots=True)
class FlowUse:
    """How a flow uses a mapping, on its way there or back.

    Attributes:
        version: The version it pins; 0 when it follows the active one.
        instance_id: Where the records come from.
        stream: Which stream of it.
        key: Target fields by which the destination knows records.
    """

    flow_id: str
    name: str
    is_active: bool
    version: int
    instance_id: str
    stream: str
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """Why a flow would not go on as before."""

    flow: FlowUse
    reason: str
    path: str
    message: str


Schemas = Mapping[tuple[str, str, str], tuple[dict[str, Any], ...]]
"""By flow, instance and stream: the forms that records may have, one of which is the true one."""


def may_break(before: Documents, after: Documents) -> bool:
    """Tell whether a change could break any flow at all; if not, nobody has to be asked."""
    if before.target_schema != after.target_schema:
        return True
    old = {one.target: one for one in provenance(before)}
    new = {one.target: one for one in provenance(after)}
    return bool(old.keys() - new.keys()) or any(
        _is_needed(one)
        and (target not in old or not _is_needed(old[target]) or one.sources != old[target].sources)
        for target, one in new.items()
    )


def breaks(before: Documents, after: Documents, flows: Iterable[FlowUse], schemas: Schemas) -> list[Break]:
    """Tell what would break, flow by flow; what does not fit already is not told again."""
    old, new = plan_of(before), plan_of(after)
    retyped = list(_retyped(before.target_schema, after.target_schema))
    found = []
    for flow in flows:
        for key in flow.key:
            if _makes(old, key) and not _makes(new, key):
                message = (
                    f"The destination knows records by {key}, which would not be made any more; "
                    "map it, or give the flow another key."
                )
                found.append(Break(flow, "KEY_NOT_MADE", key, message))
        for path, was, becomes in retyped:
            message = (
                f"{path} would be {becomes} instead of {was}, which the destination may refuse; cast it."
            )
            found.append(Break(flow, "TYPE_CHANGED", path, message))
        forms = schemas.get((flow.flow_id, flow.instance_id, flow.stream), ())
        found += [Break(flow, "SOURCE_UNKNOWN", *told) for told in _unmade(before, after, forms)]
    return found


def refuse_breaking(found: Iterable[Break]) -> None:
    """Refuse what breaks flows that run.

    Raises:
        Precondition: `MAPPING_BREAKS_FLOWS`, naming the flows.
    """
    active = [one for one in found if one.flow.is_active]
    if not active:
        return
    names = list(dict.fromkeys(one.flow.name for one in active))
    told = ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
    plural = "s" if len(names) > 1 else ""
    message = (
        f"It would break the flow{plural} {told}. {active[0].message} "
        "Or allow it, and mend the flows afterwards."
    )
    raise Precondition(
        "MAPPING_BREAKS_FLOWS", message, path="version", metadata={"flows": ", ".join(names)[:1000]}
    )


def _makes(plan: Plan, key: str) -> bool:
    """Whether a target field is made, as a whole or in part."""
    wanted = _parsed(key)
    return plan.keeps_unmapped or any(
        all(a == b for a, b in zip(wanted, _parsed(one.target), strict=False)) for one in plan.lineage
    )


def _retyped(before: str, after: str) -> Iterator[tuple[str, str, str]]:
    if not before or not after or before == after:
        return
    for change in compare(_shape(before), _shape(after), Reads(None)):
        if change.kind is ChangeKind.TYPE_CHANGED:
            yield change.path, change.before, change.after


def _shape(schema: str) -> Shape:
    """The shape that a schema promises, or the model that it names."""
    said = json.loads(schema)
    return shape_of_schema(schema_of(said) if isinstance(said, str) else said)


def _is_needed(one: Provenance) -> bool:
    """Whether a record is rejected where the sources of the field are missing."""
    return one.is_required and not one.has_default and bool(one.sources) and not one.constants


def _unmade(
    before: Documents, after: Documents, forms: tuple[dict[str, Any], ...]
) -> Iterator[tuple[str, str]]:
    """Source paths that required fields are made from and records do not have, with what follows."""
    if not forms:
        return
    already = {one.target for one in provenance(before) if _is_needed(one) and _is_unknown(one, forms)}
    for one in provenance(after):
        # A field inside a list is needed only where the list has elements.
        if _is_needed(one) and not _in_list(one) and one.target not in already and _is_unknown(one, forms):
            message = (
                f"{one.target} is required and made from {', '.join(one.sources)}, which records of the "
                "stream do not have: each one would be put in quarantine. Mend the path, or give a default."
            )
            yield one.sources[0], message


def _in_list(one: Provenance) -> bool:
    """Whether a field is made for each element of a list, of which there may be none."""
    return any("[*]" in path for path in (one.target, *one.sources))


def _is_unknown(one: Provenance, forms: tuple[dict[str, Any], ...]) -> bool:
    return all(not _has(form, _parsed(path)) for form in forms for path in one.sources)


def _has(schema: Any, path: Path) -> bool:
    """Whether records of a schema may have a field there; where the schema is open about it they may."""
    for part in path:
        if not isinstance(schema, dict) or any(word in schema for word in _OPEN_WORDS):
            return True
        if isinstance(part, str):
            properties = schema.get("properties")
            if not isinstance(properties, dict) or not properties:
                return "object" in _types(schema)
            if part not in properties:
                return isinstance(schema.get("additionalProperties"), dict)
            schema = properties[part]
        else:
            if "array" not in _types(schema):
                return False
            schema = schema.get("items", True)
    return True


def _types(schema: dict[str, Any]) -> tuple[str, ...]:
    named = schema.get("type", ("object", "array"))
    return (named,) if isinstance(named, str) else tuple(named)


def _parsed(text: str) -> Path:
    try:
        return parse_path(text)
    except PathInvalid:
        return (text,)


__all__ = ["Break", "FlowUse", "Schemas", "breaks", "may_break", "refuse_breaking"]
