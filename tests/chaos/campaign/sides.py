"""One of two systems that are kept the same, both ways."""

from __future__ import annotations

import random
from typing import Any

from campaign.editing import Edits, Untouched
from campaign.incidents import incident
from campaign.journal import Journal
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
    sides: tuple[Side, Side], agreed: Journal, source: random.Random, untouched: Untouched, edits: Edits
) -> None:
    """Let people change records, each on one side only, and take down what both should come to hold.

    Only records that both sides hold are changed.
    """
    with sides[0].lock, sides[1].lock:
        both = sides[0].items.keys() & sides[1].items.keys()
        changed, removed = untouched.choose(both, source, edits)
        made = [f"{source.choice('lr')}-{source.getrandbits(40):010x}" for _ in range(edits.creates)]
        for key in [*changed, *made]:
            untouched.touch(key)
            state = incident(key, source)
            source.choice(sides).items[key] = state
            agreed.note(key, state)
        for key in removed:
            source.choice(sides).items.pop(key)
            agreed.note(key, None)
