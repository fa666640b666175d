"""Filters of SCIM as conditions of SQL.

Names in the conditions come from the schemas; whatever a caller sends is bound.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.services.identity.domain.scim import (
    GROUPS,
    USERS,
    Attribute,
    AttributePath,
    Compare,
    Entry,
    Filter,
    Joined,
    Negated,
    ResourceType,
    Scalar,
    Tolerance,
    place_of,
    refusal,
)

_ORDERED = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class _Column:
    """An expression of SQL, and how it compares."""

    sql: str
    type: str = "string"
    case_exact: bool = False
    is_folded: bool = False


_TIMES = {
    "meta.created": _Column("r.create_time", "dateTime"),
    "meta.lastmodified": _Column("r.update_time", "dateTime"),
}
_COLUMNS = {
    USERS.name: {
        **_TIMES,
        "id": _Column("r.user_id", case_exact=True),
        "username": _Column("r.name", is_folded=True),
        "active": _Column("(not r.is_disabled)", "boolean"),
        "meta.resourcetype": _Column("text 'User'"),
    },
    GROUPS.name: {
        **_TIMES,
        "id": _Column("r.group_id", case_exact=True),
        "displayname": _Column("r.name"),
        "meta.resourcetype": _Column("text 'Group'"),
    },
}
_RELATED = {
    (USERS.name, "groups"): """select g.group_id as value, g.name as display
        from group_members m join groups g using (tenant_id, group_id)
        where m.tenant_id = r.tenant_id and m.member = 'user:' || r.user_id and g.scim is not null""",
    (GROUPS.name, "members"): """select u.user_id as value, u.display_name as display from group_members m
        join users u on u.tenant_id = m.tenant_id and m.member = 'user:' || u.user_id
        where m.tenant_id = r.tenant_id and m.group_id = r.group_id and u.scim is not null""",
}


class Conditions:
    """Turns filters over rows `r` into SQL, and gathers what has to be bound.

    Args:
        kind: What the rows are.
        tolerance: Whether texts may stand for booleans.
    """

    def __init__(self, kind: ResourceType, tolerance: Tolerance) -> None:
        self._kind = kind
        self._tolerance = tolerance
        self.values: dict[str, Any] = {}

    def of(self, item: Filter) -> str:
        """Return the condition of a filter over whole resources.

        Raises:
            FixRequest: `SCIM_INVALID_FILTER`.
        """
        if isinstance(item, Joined):
            return "(" + f" {item.logic} ".join(self.of(one) for one in item.items) + ")"
        if isinstance(item, Negated):
            return f"not coalesce({self.of(item.item)}, false)"
        if isinstance(item, Entry):
            return self._any(item.path, item.item)
        column = self._column(item.path)
        if column is not None:
            return self._compare(column, item)
        sub = AttributePath(item.path.sub or "value")
        return self._any(
            AttributePath(item.path.name, "", item.path.urn), Compare(sub, item.operator, item.value)
        )

    def order(self, text: AttributePath) -> str:
        """Return what rows are sorted by.

        Raises:
            FixRequest: `SCIM_INVALID_PATH`.
        """
        column = self._column(text)
        if column is not None:
            return (
                column.sql if column.type in {"dateTime", "boolean"} else f'lower({column.sql}) collate "C"'
            )
        attribute, source = self._list(text)
        sub = attribute.sub(text.sub or "value")
        if source or sub is None:
            raise refusal("invalidPath", f"Nothing can be sorted by `{text}`.")
        return f"""(select lower(e ->> '{sub.name}') collate "C"
            from {_elements(attribute)} with ordinality x (e, n)
            order by coalesce((e ->> 'primary')::boolean, false) desc, n limit 1)"""

    def _column(self, path: AttributePath) -> _Column | None:
        """Return the expression of an attribute with one value; None for a list."""
        columns = _COLUMNS[self._kind.name]
        if not path.urn or path.urn.lower() == self._kind.schema.urn.lower():
            known = columns.get(str(AttributePath(path.name, path.sub)).lower())
            if known is not None:
                return known
        place = place_of(self._kind, path)
        attribute = place.attribute if place else None
        if place is None or attribute is None:
            raise refusal("invalidFilter", f"`{path}` is no attribute of a {self._kind.name} here.")
        if attribute.is_list:
            return None
        root = f"r.scim -> '{place.extension}'" if place.extension else "r.scim"
        if place.sub is not None:
            shown = place.sub
            return _Column(f"({root} -> '{attribute.name}' ->> '{shown.name}')", shown.type, shown.case_exact)
        if attribute.subs:
            return _Column(f"({root} -> '{attribute.name}')::text", "complex")
        return _Column(f"({root} ->> '{attribute.name}')", attribute.type, attribute.case_exact)

    def _list(self, path: AttributePath) -> tuple[Attribute, str]:
        """Return an attribute that is a list, and the rows it stands for when they are in tables."""
        place = place_of(self._kind, path)
        attribute = place.attribute if place else None
        if attribute is None or not attribute.is_list:
            raise refusal("invalidFilter", f"`{path}` is no list of a {self._kind.name} here.")
        return attribute, _RELATED.get((self._kind.name, attribute.name), "")

    def _any(self, path: AttributePath, item: Filter) -> str:
        attribute, source = self._list(path)
        rows = f"({source}) e" if source else f"{_elements(attribute)} e"
        return f"exists (select from {rows} where {self._within(attribute, item, in_tables=bool(source))})"

    def _within(self, attribute: Attribute, item: Filter, *, in_tables: bool) -> str:
        """Return the condition of a filter over the entries `e` of a list."""
        if isinstance(item, Joined):
            parts = [self._within(attribute, one, in_tables=in_tables) for one in item.items]
            return "(" + f" {item.logic} ".join(parts) + ")"
        if isinstance(item, Negated):
            return f"not coalesce({self._within(attribute, item.item, in_tables=in_tables)}, false)"
        sub = attribute.sub(item.path.name) if isinstance(item, Compare) and not item.path.sub else None
        if (
            sub is None
            or not isinstance(item, Compare)
            or (in_tables and sub.name not in {"value", "display"})
        ):
            raise refusal("invalidFilter", f"`{item}` names no part of `{attribute.name}` to look for.")
        sql = f"e.{sub.name}" if in_tables else f"(e ->> '{sub.name}')"
        if sub.type == "boolean":
            sql += "::boolean"
        return self._compare(_Column(sql, sub.type, sub.case_exact), item)

    def _compare(self, column: _Column, item: Compare) -> str:
        if item.operator == "pr" or (item.value is None and item.operator == "ne"):
            there = f"{column.sql} is not null"
            return f"({there} and {column.sql} <> '')" if column.type in {"string", "reference"} else there
        if item.value is None and item.operator == "eq":
            return f"{column.sql} is null"
        if column.type in {"boolean", "dateTime"}:
            return self._compare_exactly(column, item)
        if column.type == "complex" or not isinstance(item.value, str):
            raise refusal("invalidFilter", f"`{item}` compares what cannot be compared.")
        bound = self._bind(item.value)
        left, right = column.sql, f"cast({bound} as text)"
        if not column.case_exact:
            left, right = (left if column.is_folded else f"lower({left})"), f"lower({right})"
        if item.operator in _ORDERED:
            return f'{left} collate "C" {_ORDERED[item.operator]} {right}'
        return {
            "eq": f"{left} = {right}",
            "ne": f"{left} is distinct from {right}",
            "co": f"strpos({left}, {right}) > 0",
            "sw": f"starts_with({left}, {right})",
            "ew": f"right({left}, length({right})) = {right}",
        }[item.operator]

    def _compare_exactly(self, column: _Column, item: Compare) -> str:
        value = self._moment(item) if column.type == "dateTime" else self._truth(item)
        signs = {"eq": "=", "ne": "is distinct from", **(_ORDERED if column.type == "dateTime" else {})}
        if item.operator not in signs:
            raise refusal("invalidFilter", f"`{item.path}` cannot be compared by `{item.operator}`.")
        kind = "timestamptz" if column.type == "dateTime" else "boolean"
        return f"{column.sql} {signs[item.operator]} cast({self._bind(value)} as {kind})"

    def _truth(self, item: Compare) -> bool:
        value: Scalar = item.value
        if isinstance(value, str) and self._tolerance.text_values:
            value = _BOOLEANS.get(value.lower(), value)
        if not isinstance(value, bool):
            raise refusal("invalidFilter", f"Compare `{item.path}` with true or false.")
        return value

    def _moment(self, item: Compare) -> datetime:
        try:
            found = datetime.fromisoformat(str(item.value))
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            message = f"Compare `{item.path}` with a time like `2024-05-13T04:42:34Z`."
            raise refusal("invalidFilter", message) from None

    def _bind(self, value: Any) -> str:
        name = f"f{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def _elements(attribute: Attribute) -> str:
    return f"jsonb_array_elements(coalesce(r.scim -> '{attribute.name}', '[]'))"


__all__ = ["Conditions"]
