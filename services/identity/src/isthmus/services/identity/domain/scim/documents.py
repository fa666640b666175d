"""Resources as JSON: what is read of a document, and what of it is shown."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.services.identity.domain.scim.filters import AttributePath, parse_target
from isthmus.services.identity.domain.scim.refusals import refusal
from isthmus.services.identity.domain.scim.schemas import Attribute, ResourceType, named
from isthmus.services.identity.domain.scim.tolerance import Tolerance

Document = dict[str, Any]

EXTERNAL_ID = Attribute("externalId", case_exact=True)
_SERVERS_OWN = frozenset({"id", "meta", "schemas"})
_LARGEST = 256 * 1024
_MOST_ENTRIES = 500
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Place:
    """An attribute of a resource type, and the extension it belongs to, if any.

    Attributes:
        attribute: The attribute; None for an extension as a whole.
        extension: Name of the extension's schema; empty for the resource itself.
        sub: The part of the attribute that is meant; None for all of it.
    """

    attribute: Attribute | None
    extension: str = ""
    sub: Attribute | None = None


def place_of(kind: ResourceType, path: AttributePath) -> Place | None:
    """Find what a path names, or None when nothing here is called so."""
    whole = kind.extension(str(path))
    if whole is not None:
        return Place(None, whole.urn)
    urn = path.urn.lower()
    extension = kind.extension(urn) if urn else None
    if urn and extension is None and urn != kind.schema.urn.lower():
        return None
    attributes = extension.attributes if extension else kind.schema.attributes
    found = named(attributes, path.name)
    if found is None and not extension and path.name.lower() == "externalid":
        found = EXTERNAL_ID
    if found is None:
        return None
    sub = found.sub(path.sub) if path.sub else None
    if path.sub and sub is None:
        return None
    return Place(found, extension.urn if extension else "", sub)


def read(kind: ResourceType, raw: object, tolerance: Tolerance) -> Document:
    """Read a whole resource: names as the schema writes them, values of its types, nothing that is not kept.

    Raises:
        FixRequest: `SCIM_INVALID_SYNTAX` or `SCIM_INVALID_VALUE`.
    """
    if not isinstance(raw, dict):
        raise refusal("invalidSyntax", "Send the resource as one JSON object.")
    if not tolerance.unknown_schemas:
        _check_schemas(kind, raw)
    document: Document = {}
    for name, value in raw.items():
        extension = kind.extension(name)
        if extension is not None:
            if value is not None and not isinstance(value, dict):
                raise refusal("invalidValue", f"Send a JSON object as `{extension.urn}`.")
            parts = dict(_parts(extension.attributes, value or {}, tolerance, f"{extension.urn}:"))
            if parts:
                document[extension.urn] = parts
            continue
        if name.lower() in _SERVERS_OWN:
            continue
        bare = (
            name[len(kind.schema.urn) + 1 :]
            if name.lower().startswith(f"{kind.schema.urn.lower()}:")
            else name
        )
        own = (*kind.schema.attributes, EXTERNAL_ID)
        document.update(_parts(own, {bare: value}, tolerance, ""))
    return checked(kind, document)


def checked(kind: ResourceType, document: Document) -> Document:
    """Refuse a document that lacks what is required or is too large to be kept.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE` or `SCIM_TOO_MANY`.
    """
    for attribute in kind.schema.attributes:
        if attribute.required and not str(document.get(attribute.name, "")).strip():
            raise refusal("invalidValue", f"Set `{attribute.name}`; a {kind.name} has to have one.")
    kept = {name: value for name, value in document.items() if name != "members"}
    if len(json.dumps(kept)) > _LARGEST:
        raise refusal("tooMany", f"Send less: a {kind.name} may have {_LARGEST // 1024} KiB.")
    return document


def value_of(attribute: Attribute, value: object, tolerance: Tolerance, path: str) -> Any:
    """Read a value of an attribute; None where there is none.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE`.
    """
    if not attribute.is_list:
        return one_of(attribute, value, tolerance, path)
    if value is None:
        return None
    if not isinstance(value, list):
        if not tolerance.bare_values:
            raise refusal("invalidValue", f"Send a list as `{path}`.")
        value = [value]
    if attribute.name != "members" and len(value) > _MOST_ENTRIES:
        raise refusal("tooMany", f"Send at most {_MOST_ENTRIES} entries in `{path}`.")
    entries = [one_of(attribute, item, tolerance, path) for item in value]
    found = [item for item in entries if item not in (None, {})]
    _one_primary(found, tolerance, path)
    return found or None


def one_of(attribute: Attribute, value: object, tolerance: Tolerance, path: str) -> Any:
    """Read one value, be it of a list or alone.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE`.
    """
    if value is None:
        return None
    if attribute.subs:
        if isinstance(value, str) and tolerance.bare_values and attribute.sub("value"):
            value = {"value": value}
        if not isinstance(value, dict):
            raise refusal("invalidValue", f"Send a JSON object as `{path}`.")
        return dict(_parts(attribute.subs, value, tolerance, f"{path}."))
    if attribute.type == "boolean":
        if isinstance(value, str) and tolerance.text_values:
            value = _BOOLEANS.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            raise refusal("invalidValue", f"Send true or false as `{path}`.")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and tolerance.text_values:
        value = str(value)
    if not isinstance(value, str):
        raise refusal("invalidValue", f"Send a text as `{path}`.")
    return value


def _parts(
    attributes: tuple[Attribute, ...], raw: Document, tolerance: Tolerance, above: str
) -> Iterator[tuple[str, Any]]:
    for name, value in raw.items():
        attribute = named(attributes, name)
        if attribute is None or attribute.mutability == "readOnly":
            continue
        found = value_of(attribute, value, tolerance, above + attribute.name)
        if found is not None and found != {}:
            yield attribute.name, found


def _one_primary(entries: list[Any], tolerance: Tolerance, path: str) -> None:
    chosen = [item for item in entries if isinstance(item, dict) and item.get("primary") is True]
    if len(chosen) > 1 and not tolerance.text_values:
        raise refusal("invalidValue", f"Mark at most one entry of `{path}` as primary.")
    for item in chosen[1:]:
        item["primary"] = False


def _check_schemas(kind: ResourceType, raw: Document) -> None:
    told = raw.get("schemas")
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise refusal(
            "invalidSyntax", f"Name the schemas of the document: `schemas` has to have `{kind.schema.urn}`."
        )
    known = {kind.schema.urn.lower(), *(one.urn.lower() for one in kind.extensions)}
    given = {one.lower() for one in told}
    if kind.schema.urn.lower() not in given:
        raise refusal("invalidSyntax", f"`schemas` has to have `{kind.schema.urn}`.")
    for one in sorted(given - known):
        raise refusal("invalidValue", f"`schemas` has `{one[:200]}`, which this server does not know.")


class View:
    """What of a document is shown.

    Args:
        kind: What it is about.
        attributes: Only these; empty means all.
        excluded: All but these.
        tolerance: Whether paths may have filters.
    """

    def __init__(
        self, kind: ResourceType, attributes: Iterable[str], excluded: Iterable[str], tolerance: Tolerance
    ) -> None:
        self._only = _keys(kind, attributes, tolerance)
        self._without = _keys(kind, excluded, tolerance)
        self._picks = any(one.strip() for one in attributes)

    def shows(self, name: str) -> bool:
        """Tell whether anything of a top-level attribute is shown."""
        key = name.lower()
        if self._picks:
            return any(one == key or one.startswith(f"{key}\0") for one in self._only)
        return key not in self._without

    def of(self, document: Document) -> Document:
        """Return what is shown of a document; `schemas` and `id` always are."""
        always = {name: document[name] for name in ("schemas", "id") if name in document}
        if self._picks:
            return always | _picked(document, self._only, "")
        return _left(document, self._without, "") | always


def _keys(kind: ResourceType, paths: Iterable[str], tolerance: Tolerance) -> frozenset[str]:
    """Return the places that paths name, as lower-case names joined by NUL."""
    found = set()
    for text in paths:
        if not text.strip():
            continue
        if text.strip().lower() == "meta" or text.strip().lower().startswith("meta."):
            found.add(text.strip().lower().replace(".", "\0"))
            continue
        target = parse_target(text.strip())
        if target.item is not None and not tolerance.filtered_attributes:
            raise refusal("invalidPath", f"Ask for `{target.path}` without a filter.")
        place = place_of(kind, target.path)
        if place is None:
            continue
        names = (
            place.extension,
            place.attribute.name if place.attribute else "",
            place.sub.name if place.sub else "",
        )
        found.add("\0".join(one.lower() for one in names if one))
    return frozenset(found)


def _picked(document: Document, keys: frozenset[str], above: str) -> Document:
    shown: Document = {}
    for name, value in document.items():
        key = f"{above}{name.lower()}"
        if key in keys:
            shown[name] = value
        elif any(one.startswith(f"{key}\0") for one in keys):
            inner = _each(value, lambda item, key=key: _picked(item, keys, f"{key}\0"))
            if inner:
                shown[name] = inner
    return shown


def _left(document: Document, keys: frozenset[str], above: str) -> Document:
    shown: Document = {}
    for name, value in document.items():
        key = f"{above}{name.lower()}"
        if key in keys:
            continue
        touched = any(one.startswith(f"{key}\0") for one in keys)
        shown[name] = _each(value, lambda item, key=key: _left(item, keys, f"{key}\0")) if touched else value
    return shown


def _each(value: Any, do: Any) -> Any:
    if isinstance(value, list):
        return [found for item in value if (found := do(item) if isinstance(item, dict) else item)]
    return do(value) if isinstance(value, dict) else value


__all__ = ["EXTERNAL_ID", "Document", "Place", "View", "checked", "one_of", "place_of", "read", "value_of"]
