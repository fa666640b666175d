"""Makes one schema out of a model's file and the parts that it shares with others."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
Load = Callable[[str], Schema]

EXTENDS = "x-isthmus-extends"
"""Names an object whose properties and required fields are added to those written beside it."""


def bundled(document: Schema, load: Load) -> Schema:
    """A schema that refers to nothing outside itself.

    Args:
        document: What stands in the model's file.
        load: Reads another file of the same standard by its name.
    """
    return _Bundle(load).whole(document)


class _Bundle:
    """One bundling: remembers the files that were read and the parts that are needed."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._files: dict[str, Schema] = {}
        self._parts: dict[str, Schema] = {}

    def whole(self, document: Schema) -> Schema:
        """The document with everything it needs under `$defs`."""
        made = self._settled(document, "")
        assert isinstance(made, dict)
        if self._parts:
            made["$defs"] = dict(sorted(self._parts.items()))
        return made

    def _settled(self, node: Any, file: str) -> Any:
        """A node with its references turned inwards; `file` is where it stands, empty for the model's own."""
        if isinstance(node, list):
            return [self._settled(item, file) for item in node]
        if not isinstance(node, dict):
            return node
        node = self._extended(node, file)
        made = {name: self._settled(item, file) for name, item in node.items()}
        # A property may be called `$ref` itself; its schema is no text.
        if isinstance(made.get("$ref"), str):
            made["$ref"] = self._inwards(made["$ref"], file)
        return made

    def _extended(self, node: Schema, file: str) -> Schema:
        """The node with properties and required fields of what it extends; its own win."""
        if not isinstance(node.get(EXTENDS), str):
            return node
        base_file, name = self._split(node[EXTENDS], file)
        base = self._extended(self._part(base_file, name), base_file)
        # Written from where the extending node stands, so that one file says where its references lead.
        inherited = _rebased(base, base_file) if base_file != file else base
        own = {key: value for key, value in node.items() if key != EXTENDS}
        extended = {**inherited, **own}
        extended["properties"] = {**inherited.get("properties", {}), **own.get("properties", {})}
        if required := [*dict.fromkeys([*inherited.get("required", []), *own.get("required", [])])]:
            extended["required"] = required
        return extended

    def _inwards(self, reference: str, file: str) -> str:
        where, name = self._split(reference, file)
        if not where:
            return reference
        if name not in self._parts:
            # Entered before it is settled, because a part may refer to itself.
            self._parts[name] = {}
            self._parts[name] = self._settled(self._part(where, name), where)
        return f"#/$defs/{name}"

    def _split(self, reference: str, file: str) -> tuple[str, str]:
        where, _, place = reference.partition("#")
        return where or file, place.removeprefix("/$defs/")

    def _part(self, file: str, name: str) -> Schema:
        if file not in self._files:
            self._files[file] = self._load(file)
        found: Schema = self._files[file]["$defs"][name]
        return found


def _rebased(node: Any, file: str) -> Any:
    """A node of another file, with its references naming that file."""
    if isinstance(node, list):
        return [_rebased(item, file) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: _rebased(item, file) for name, item in node.items()}
    if isinstance(made.get("$ref"), str) and made["$ref"].startswith("#"):
        made["$ref"] = file + made["$ref"]
    return made


__all__ = ["EXTENDS", "bundled"]
