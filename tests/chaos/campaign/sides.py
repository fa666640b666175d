"""One of two systems that are kept the same, both ways."""

from __future__ import annotations

import random
from typing import Any

from campaign.incidents import incident
from campaign.kinds import Kind
from campaign.systems import Request, System

__all__ = ["Side", "edit_both"]

_AGAIN = "again"


class Side(System):
    """Keeps items that people and programs write.

    Attributes:
        items: What there is, by id.
        effects: Every write of a program, with what it left behind; None for a deletion.
    """

    def __init__(self, page: int) -> None:
        super().__init__()
        self.page = page
        self.items: dict[str, dict[str, Any]] = {}
        self.effects: list[tuple[str, dict[str, Any] | None]] = []

    def answer(self, request: Request) -> tuple[int, Any]:
        """List page by page, write, or delete."""
        if request.method == "GET":
            return 200, self._listed(request)
        if request.method == "DELETE":
            self.effects.append((request.name, None))
            return (204 if self.items.pop(request.name, None) else 404), {}
        self.items[request.name] = {**request.body, "id": request.name}
        self.effects.append((request.name, self.items[request.name]))
        return 200, self.items[request.name]

    def _listed(self, request: Request) -> dict[str, Any]:
        after, _, again = request.query.get("after", "").partition("~")
        names = sorted(key for key in self.items if key > after)
        shown = names[: self.page]
        following = shown[-1] if len(names) > len(shown) else None
        if request.fault is Kind.DUPLICATED and not again:
            following = f"{after}~{_AGAIN}"
        return {"items": self.in_order([self.items[key] for key in shown], request), "next": following}


def edit_both(
    sides: tuple[Side, Side], source: random.Random, *, creates: int, updates: int, deletes: int
) -> dict[str, dict[str, Any] | None]:
    """Let people change records, each on one side only; gives what they did, by id."""
    done: dict[str, dict[str, Any] | None] = {}
    living = sorted(sides[0].items)
    touched = source.sample(living, min(len(living), updates + deletes))
    made = [f"{source.choice('lr')}-{source.getrandbits(40):010x}" for _ in range(creates)]
    for place, key in enumerate([*touched, *made]):
        side = source.choice(sides)
        done[key] = None if place < min(deletes, len(touched)) else incident(key, source)
        with side.lock:
            if done[key] is None:
                side.items.pop(key)
            else:
                side.items[key] = dict(done[key] or {})
    return done
