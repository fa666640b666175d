"""`PATCH`: operations on parts of a resource, one after another."""

from copy import deepcopy
from typing import Any

from isthmus.services.identity.domain.scim.documents import (
    Document,
    Place,
    checked,
    one_of,
    place_of,
    value_of,
)
from isthmus.services.identity.domain.scim.filters import (
    Target,
    matches,
    parse_target,
    required_values,
    terms,
)
from isthmus.services.identity.domain.scim.members import MemberChange, ids_in, ids_matched
from isthmus.services.identity.domain.scim.refusals import refusal
from isthmus.services.identity.domain.scim.schemas import Attribute, ResourceType
from isthmus.services.identity.domain.scim.tolerance import Tolerance

_PATCH = "urn:ietf:params:scim:api:messages:2.0:patchop"
_OPERATIONS = ("add", "remove", "replace")
_MOST_OPERATIONS = 1_000
_MEMBERS = "members"


def patched(
    kind: ResourceType, document: Document, request: object, tolerance: Tolerance
) -> tuple[Document, MemberChange]:
    """Return a document after the operations of a request, and what they do to members.

    Args:
        kind: What it is.
        document: As stored, without members; it stays as it is.
        request: As sent.
        tolerance: Which deviations are put up with.

    Raises:
        FixRequest: one of the reasons that begin with `SCIM_`.
    """
    work = _Work(kind, deepcopy(document), tolerance)
    for raw in _operations(request, tolerance):
        work.do(raw)
    return checked(kind, work.document), work.members


def _operations(request: object, tolerance: Tolerance) -> list[Document]:
    if not isinstance(request, dict):
        raise refusal("invalidSyntax", "Send the operations as one JSON object.")
    given = {str(name).lower(): value for name, value in request.items()}
    schemas = given.get("schemas")
    named = isinstance(schemas, list) and _PATCH in {str(one).lower() for one in schemas}
    if not named and not tolerance.unknown_schemas:
        message = "`schemas` has to have `urn:ietf:params:scim:api:messages:2.0:PatchOp`."
        raise refusal("invalidSyntax", message)
    found = given.get("operations")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise refusal("invalidSyntax", "Send a list of objects as `Operations`.")
    if len(found) > _MOST_OPERATIONS:
        raise refusal("tooMany", f"Send at most {_MOST_OPERATIONS} operations at once.")
    return found


class _Work:
    """Does operations on a copy of a document."""

    def __init__(self, kind: ResourceType, document: Document, tolerance: Tolerance) -> None:
        self.document = document
        self.members = MemberChange()
        self._kind = kind
        self._tolerance = tolerance

    def do(self, raw: Document) -> None:
        given = {str(name).lower(): value for name, value in raw.items()}
        operation, path, value = given.get("op"), given.get("path"), given.get("value")
        if isinstance(operation, str) and self._tolerance.any_case_operations:
            operation = operation.lower()
        if operation not in _OPERATIONS:
            raise refusal("invalidSyntax", "Use `add`, `remove` or `replace` as `op`.")
        if path is not None and not isinstance(path, str):
            raise refusal("invalidPath", "Send a text as `path`.")
        if operation == "remove" and not path:
            raise refusal("noTarget", "Name what to remove by `path`.")
        if not path:
            self._spread(operation, value)
            return
        extension = self._kind.extension(path)
        if extension is not None:
            self._whole_extension(operation, extension.urn, value)
            return
        self._at(operation, parse_target(path, bare_words=self._tolerance.bare_words), value)

    def _spread(self, operation: str, value: Any) -> None:
        """Do an operation without a path: each name in the value is one."""
        if not isinstance(value, dict):
            raise refusal("invalidValue", "Send an object of attributes as `value`, or a `path`.")
        for name, part in value.items():
            if name.lower() == "schemas":
                continue
            extension = self._kind.extension(name)
            if extension is not None:
                self._whole_extension(operation, extension.urn, part)
                continue
            target = parse_target(name)
            is_dotted = target.item is not None or target.sub or target.path.sub or target.path.urn
            if is_dotted and not self._tolerance.dotted_keys:
                raise refusal("invalidPath", f"`{name[:200]}` is no attribute; name parts by `path`.")
            self._at(operation, target, part)

    def _whole_extension(self, operation: str, urn: str, value: Any) -> None:
        if operation == "remove":
            self.document.pop(urn, None)
            return
        if not isinstance(value, dict):
            raise refusal("invalidValue", f"Send an object of attributes as `{urn}`.")
        for name, part in value.items():
            if name.lower() != "schemas":
                self._at(operation, parse_target(f"{urn}:{name}"), part)

    def _at(self, operation: str, target: Target, value: Any) -> None:
        place = self._place(target)
        if place is None:
            return
        attribute = place.attribute
        assert attribute is not None
        if attribute.name == _MEMBERS and self._kind.name == "Group":
            self._change_members(operation, target, attribute, value)
            return
        holder = self.document.setdefault(place.extension, {}) if place.extension else self.document
        before = _primaries(holder.get(attribute.name))
        if target.item is not None:
            self._entries(operation, target, holder, attribute, value)
        elif operation == "remove":
            self._remove(holder, attribute, place.sub, value)
        elif place.sub is not None:
            self._set_part(holder, attribute, place.sub, value)
        else:
            self._set(operation, holder, attribute, value)
        _keep_one_primary(holder.get(attribute.name), before)
        if holder.get(attribute.name) in ([], {}):
            holder.pop(attribute.name)
        if place.extension and not holder:
            self.document.pop(place.extension)

    def _place(self, target: Target) -> Place | None:
        """Find where an operation works; None where it changes nothing."""
        path, tolerance = target.path, self._tolerance
        if path.name.lower() in {"id", "meta"} and not path.urn:
            if tolerance.read_only_attributes:
                return None
            raise refusal("mutability", f"`{path}` is set by the server only.")
        place = place_of(self._kind, path)
        if place is None or place.attribute is None:
            if tolerance.unknown_attributes:
                return None
            raise refusal("invalidPath", f"`{path}` is no attribute of a {self._kind.name} here.")
        if "readOnly" in {place.attribute.mutability, place.sub.mutability if place.sub else ""}:
            if tolerance.read_only_attributes:
                return None
            raise refusal("mutability", f"`{path}` is set by the server only.")
        return place

    def _set(self, operation: str, holder: Document, attribute: Attribute, value: Any) -> None:
        found = value_of(attribute, value, self._tolerance, attribute.name)
        if found is None:
            if operation == "replace" or not attribute.is_list:
                self._remove(holder, attribute, None, None)
            return
        if attribute.is_list and operation == "add":
            held = holder.setdefault(attribute.name, [])
            held.extend(item for item in found if item not in held)
        elif attribute.subs and not attribute.is_list:
            holder[attribute.name] = {**holder.get(attribute.name, {}), **found}
        else:
            holder[attribute.name] = found

    def _set_part(self, holder: Document, attribute: Attribute, sub: Attribute, value: Any) -> None:
        found = one_of(sub, value, self._tolerance, f"{attribute.name}.{sub.name}")
        if not attribute.is_list:
            held = [holder.setdefault(attribute.name, {})]
        else:
            held = holder.get(attribute.name, [])
            if not held:
                raise refusal("noTarget", f"There are no `{attribute.name}` yet.")
        for item in held:
            _put(item, sub.name, found)

    def _remove(self, holder: Document, attribute: Attribute, sub: Attribute | None, value: Any) -> None:
        if attribute.required:
            raise refusal("mutability", f"`{attribute.name}` cannot be removed.")
        held = holder.get(attribute.name)
        if sub is not None:
            for item in held if isinstance(held, list) else [held or {}]:
                item.pop(sub.name, None)
            return
        if value in (None, [], ""):
            holder.pop(attribute.name, None)
            return
        if not self._tolerance.values_on_remove or not attribute.is_list:
            raise refusal("invalidSyntax", "`remove` has no `value`; name entries by a filter in the `path`.")
        gone = value_of(attribute, value, self._tolerance, attribute.name) or []
        holder[attribute.name] = [
            item for item in held or [] if not any(one.items() <= item.items() for one in gone)
        ]

    def _entries(
        self, operation: str, target: Target, holder: Document, attribute: Attribute, value: Any
    ) -> None:
        """Do an operation on the entries of a list that match a filter."""
        item = target.item
        assert item is not None
        if not attribute.is_list or not attribute.subs:
            raise refusal("invalidPath", f"`{attribute.name}` has no entries to choose from.")
        for term in terms(item):
            if attribute.sub(term.path.name) is None:
                raise refusal("invalidFilter", f"`{attribute.name}` has no part `{term.path.name}`.")
        sub = attribute.sub(target.sub) if target.sub else None
        if target.sub and sub is None:
            raise refusal("invalidPath", f"`{attribute.name}` has no part `{target.sub}`.")
        held: list[Document] = holder.setdefault(attribute.name, [])
        chosen = [entry for entry in held if matches(item, entry)]
        if operation == "remove":
            if sub is None:
                holder[attribute.name] = [entry for entry in held if entry not in chosen]
            for entry in chosen if sub is not None else []:
                entry.pop(sub.name, None)  # type: ignore[union-attr]
            return
        implied = self._implied(attribute, target)
        if not chosen:
            if not implied:
                raise refusal("noTarget", f"No entry of `{attribute.name}` matches `{item}`.")
            chosen = [implied]
            held.extend(chosen)
        path = f"{attribute.name}.{sub.name}" if sub else attribute.name
        found = one_of(sub or attribute, value, self._tolerance, path)
        for entry in chosen:
            if sub is not None:
                _put(entry, sub.name, found)
                continue
            if operation == "replace":
                entry.clear()
                entry.update(implied)
            entry.update(found or {})

    def _implied(self, attribute: Attribute, target: Target) -> Document:
        """Return what an entry has to have to match the filter, where entries may be made so."""
        if not self._tolerance.creates_entries or target.item is None:
            return {}
        given = required_values(target.item)
        made = {attribute.sub(name): value for name, value in given.items()}
        return {sub.name: one_of(sub, value, self._tolerance, sub.name) for sub, value in made.items() if sub}

    def _change_members(self, operation: str, target: Target, attribute: Attribute, value: Any) -> None:
        if target.sub or target.path.sub:
            raise refusal("mutability", "A member cannot be changed; remove it and add another one.")
        if target.item is not None:
            ids = ids_matched(target.item)
            if operation != "remove":
                raise refusal("mutability", "A member cannot be changed; remove it and add another one.")
            self.members.remove(ids)
            return
        if operation == "remove" and value in (None, ""):
            self.members.clear()
            return
        if operation == "remove" and not self._tolerance.values_on_remove:
            message = '`remove` has no `value`; name a member by the path `members[value eq "…"]`.'
            raise refusal("invalidSyntax", message)
        ids = ids_in(value_of(attribute, value, self._tolerance, _MEMBERS))
        if operation == "remove":
            self.members.remove(ids)
            return
        if operation == "replace":
            self.members.clear()
        self.members.add(ids)


def _put(entry: Document, name: str, value: Any) -> None:
    if value is None:
        entry.pop(name, None)
    else:
        entry[name] = value


def _primaries(entries: Any) -> list[Document]:
    if not isinstance(entries, list):
        return []
    return [one for one in entries if isinstance(one, dict) and one.get("primary") is True]


def _keep_one_primary(entries: Any, before: list[Document]) -> None:
    """Let the entry that was made primary last be the only one."""
    now = _primaries(entries)
    if len(now) > 1:
        fresh = [one for one in now if not any(one is old for old in before)] or now
        for one in now:
            one["primary"] = one is fresh[-1]


__all__ = ["patched"]
