"""Turns a nested OSCAL catalogue into flat records."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.connectors.nist_oscal.settings import Control, Family, Group, Parameter, Part
from isthmus.sdk import DataFailure

_INSERT = re.compile(r"\{\{\s*insert:\s*param,\s*([^\s}]+)\s*\}\}")
_DEEPEST = 50
_OTHER_MODELS = (
    "profile", "component-definition", "system-security-plan", "assessment-plan",
    "assessment-results", "plan-of-action-and-milestones", "mapping-collection",
)  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """Where in the catalogue a control stands."""

    groups: tuple[dict[str, Any], ...] = ()
    parent: str = ""
    depth: int = 0


class Catalogue:
    """One OSCAL catalogue; gives controls and groups in reading order.

    Raises:
        DataFailure: `CATALOGUE_INVALID`, when the document is something else.
    """

    def __init__(self, document: Any, where: str) -> None:
        content = document.get("catalog") if isinstance(document, dict) else None
        if not isinstance(content, dict):
            raise _no_catalogue(document, where)
        self._content = content
        self._where = where
        metadata = content.get("metadata") or {}
        self._about = {"title": metadata.get("title", ""), "version": metadata.get("version", "")}
        self._parameters = {param["id"]: param for param in self._all_parameters() if param.get("id")}
        self._resources = {
            item.get("uuid"): item for item in (content.get("back-matter") or {}).get("resources", [])
        }

    def controls(self) -> Iterator[Control]:
        """Every control and enhancement, however deeply nested."""
        for raw, place in self._walk(self._content, _Place()):
            yield self._control(raw, place)

    def groups(self) -> Iterator[Group]:
        """Every group, outer ones before inner ones."""
        yield from self._groups(self._content, "", 0)

    def _walk(self, holder: dict[str, Any], place: _Place) -> Iterator[tuple[dict[str, Any], _Place]]:
        self._bound(place.depth)
        for raw in holder.get("controls") or ():
            yield raw, place
            yield from self._walk(raw, _Place(place.groups, str(raw.get("id", "")), place.depth + 1))
        for group in holder.get("groups") or ():
            yield from self._walk(group, _Place((*place.groups, group), "", place.depth + 1))

    def _groups(self, holder: dict[str, Any], parent: str, depth: int) -> Iterator[Group]:
        self._bound(depth)
        for raw in holder.get("groups") or ():
            name = str(raw.get("id", ""))
            yield Group(
                id=name,
                title=raw.get("title", ""),
                kind=raw.get("class", ""),
                parent_id=parent,
                prose=self._text(raw.get("parts") or (), ()),
                control_ids=[control["id"] for control in raw.get("controls") or ()],
                control_count=sum(1 for _ in self._walk(raw, _Place(depth=depth))),
            )
            yield from self._groups(raw, name, depth + 1)

    def _control(self, raw: dict[str, Any], place: _Place) -> Control:
        parts = raw.get("parts") or []
        family = next((g for g in reversed(place.groups) if g.get("class") == "family"), None)
        family = family or (place.groups[-1] if place.groups else None)
        return Control(
            id=raw.get("id", ""),
            label=_label(raw),
            title=raw.get("title", ""),
            kind="enhancement" if place.parent else "control",
            family=Family(id=family.get("id", ""), title=family.get("title", "")) if family else None,
            group_ids=[group.get("id", "") for group in place.groups],
            parent_id=place.parent,
            sort_id=_property(raw, "sort-id"),
            is_withdrawn=_property(raw, "status").lower() == "withdrawn",
            statement=self._text(parts, ("statement",)),
            guidance=self._text(parts, ("guidance",)),
            parameters=[self._parameter(param) for param in raw.get("params") or ()],
            parts=list(self._parts(parts, "", 0)),
            related=_targets(raw, "related"),
            required=_targets(raw, "required"),
            references=[self._reference(href) for href in _hrefs(raw, "reference")],
            enhancements=[control["id"] for control in raw.get("controls") or ()],
            properties=_properties(raw),
            catalog=self._about,
        )

    def _parameter(self, raw: dict[str, Any]) -> Parameter:
        select = raw.get("select") or {}
        return Parameter(
            id=raw.get("id", ""),
            label=self._words(raw.get("id", ""), frozenset()),
            values=[str(value) for value in raw.get("values") or ()],
            choices=[self._resolved(choice) for choice in select.get("choice") or ()],
            how_many=select.get("how-many", ""),
            guidelines=[self._resolved(line.get("prose", "")) for line in raw.get("guidelines") or ()],
            aggregates=_properties(raw).get("aggregates", []),
        )

    def _parts(self, parts: Iterable[dict[str, Any]], parent: str, depth: int) -> Iterator[Part]:
        self._bound(depth)
        for raw in parts:
            name = raw.get("id", "")
            yield Part(
                id=name,
                name=raw.get("name", ""),
                label=_property(raw, "label"),
                parent_id=parent,
                depth=depth,
                prose=self._resolved(raw.get("prose", "")),
            )
            yield from self._parts(raw.get("parts") or (), name, depth + 1)

    def _text(self, parts: Iterable[dict[str, Any]], names: tuple[str, ...]) -> str:
        """The prose of the named top parts and all below, one line a part, indented by depth."""
        wanted = [part for part in parts if not names or part.get("name") in names]
        lines = []
        for part in self._parts(wanted, "", 0):
            text = f"{part.label} {part.prose}".strip()
            if text:
                lines.append("  " * max(0, part.depth - 1) + text)
        return "\n".join(lines)

    def _resolved(self, prose: str, seen: frozenset[str] = frozenset()) -> str:
        """The prose with every inserted parameter in words."""
        return _INSERT.sub(lambda match: self._words(match[1], seen), prose).strip()

    def _words(self, name: str, seen: frozenset[str]) -> str:
        raw = self._parameters.get(name)
        if raw is None or name in seen:
            return f"[{name}]"
        inner = seen | {name}
        if raw.get("values"):
            return ", ".join(self._resolved(str(value), inner) for value in raw["values"])
        select = raw.get("select") or {}
        if select.get("choice"):
            many = f" ({select['how-many']})" if select.get("how-many") else ""
            choices = "; ".join(self._resolved(choice, inner) for choice in select["choice"])
            return f"[Selection{many}: {choices}]"
        return f"[Assignment: {self._resolved(raw.get('label') or name, inner)}]"

    def _reference(self, href: str) -> str:
        resource = self._resources.get(href.removeprefix("#")) if href.startswith("#") else None
        if resource is None:
            return href
        return str(resource.get("title") or (resource.get("citation") or {}).get("text") or href)

    def _all_parameters(self) -> Iterator[dict[str, Any]]:
        waiting = [self._content]
        while waiting:
            holder = waiting.pop()
            yield from holder.get("params") or ()
            waiting += [*(holder.get("controls") or ()), *(holder.get("groups") or ())]

    def _bound(self, depth: int) -> None:
        if depth > _DEEPEST:
            message = f"{self._where} nests deeper than {_DEEPEST} levels; it is damaged or no catalogue."
            raise DataFailure("CATALOGUE_INVALID", message)


def _no_catalogue(document: Any, where: str) -> DataFailure:
    other = next((name for name in _OTHER_MODELS if isinstance(document, dict) and name in document), "")
    if other == "profile":
        hint = "it is a profile; resolve it into a catalogue first"
    elif other:
        hint = f"it is an OSCAL {other}; give a catalogue"
    else:
        hint = "it has no `catalog` at its top; check the address"
    return DataFailure("CATALOGUE_INVALID", f"{where} is no OSCAL catalogue: {hint}.")


def _label(raw: dict[str, Any]) -> str:
    """The printed label; other classes hold zero-padded and assessment forms."""
    labels = [prop for prop in raw.get("props") or () if prop.get("name") == "label"]
    plain = next((prop for prop in labels if not prop.get("class")), None)
    chosen = plain or (labels[0] if labels else {})
    return str(chosen.get("value") or raw.get("id", "").upper())


def _property(raw: dict[str, Any], name: str) -> str:
    return str(
        next((prop.get("value", "") for prop in raw.get("props") or () if prop.get("name") == name), "")
    )


def _properties(raw: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for prop in raw.get("props") or ():
        found.setdefault(str(prop.get("name", "")), []).append(str(prop.get("value", "")))
    return found


def _hrefs(raw: dict[str, Any], rel: str) -> list[str]:
    return [str(link.get("href", "")) for link in raw.get("links") or () if link.get("rel") == rel]


def _targets(raw: dict[str, Any], rel: str) -> list[str]:
    return [href.removeprefix("#") for href in _hrefs(raw, rel)]
