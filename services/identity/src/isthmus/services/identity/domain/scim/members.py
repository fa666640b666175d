"""Who comes into a group and who leaves it, without everybody who is in it at hand."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from isthmus.services.identity.domain.scim.filters import Compare, Filter, Joined
from isthmus.services.identity.domain.scim.refusals import refusal


@dataclass(slots=True)
class MemberChange:
    """What operations one after another do to a group's members.

    Attributes:
        is_reset: Whoever is not put in afterwards is out.
        put: Ids of users who are in afterwards.
        out: Ids of users who are out afterwards.
    """

    is_reset: bool = False
    put: dict[str, None] = field(default_factory=dict)
    out: set[str] = field(default_factory=set)

    @property
    def is_any(self) -> bool:
        """Whether it may change anything."""
        return self.is_reset or bool(self.put) or bool(self.out)

    def add(self, ids: Iterable[str]) -> None:
        """Put users in."""
        for one in ids:
            self.put[one] = None
            self.out.discard(one)

    def remove(self, ids: Iterable[str]) -> None:
        """Take users out."""
        for one in ids:
            self.put.pop(one, None)
            self.out.add(one)

    def clear(self) -> None:
        """Take everybody out."""
        self.is_reset = True
        self.put.clear()
        self.out.clear()


def ids_in(entries: Any) -> list[str]:
    """Return the ids that entries of `members` name.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE`.
    """
    found = []
    for entry in entries or []:
        id_ = entry.get("value") or str(entry.get("$ref", "")).rpartition("/")[2]
        if not id_:
            raise refusal("invalidValue", "Name each member by `value`, the id of a user.")
        found.append(str(id_)[:200])
    return found


def ids_matched(item: Filter) -> list[str]:
    """Return the ids that a filter on `members` names: `value eq "…"`, several joined by `or`.

    Raises:
        FixRequest: `SCIM_INVALID_FILTER`.
    """
    if isinstance(item, Joined) and item.logic == "or":
        return [id_ for one in item.items for id_ in ids_matched(one)]
    if isinstance(item, Compare) and item.operator == "eq" and item.path.name.lower() == "value":
        return [str(item.value)]
    raise refusal("invalidFilter", f'Name members by `members[value eq "…"]`, not by `{item}`.')


__all__ = ["MemberChange", "ids_in", "ids_matched"]
