"""The system that incidents come from; people change them between the syncs."""

from __future__ import annotations

import random
from typing import Any

from campaign.editing import Edits, Untouched
from campaign.journal import Journal
from campaign.kinds import Kind
from campaign.systems import Request, System

__all__ = ["Incidents"]

_AGAIN = "again"


class Incidents(System):
    """Gives incidents page by page: all of them, or what has changed since a token.

    Attributes:
        journal: What each incident has been, in order.
    """

    def __init__(self, page: int) -> None:
        super().__init__()
        self.page = page
        self.journal = Journal()
        self._changed: dict[str, int] = {}
        self._changes = 0

    def edit(self, source: random.Random, untouched: Untouched, edits: Edits) -> None:
        """Do what people do."""
        with self.lock:
            changed, removed = untouched.choose(self.journal.living(), source, edits)
            for key in removed:
                self._note(key, None)
            first = len(self.journal.states)
            for key in [*changed, *(f"inc-{first + number:05}" for number in range(edits.creates))]:
                untouched.touch(key)
                self._note(key, incident(key, source))

    def answer(self, request: Request) -> tuple[int, Any]:
        """Give a page."""
        if request.path == "/changes":
            return self._delta(request)
        if request.path == "/incidents":
            return self._all(request)
        return 404, {"error": "unknown"}

    def _note(self, key: str, state: dict[str, Any] | None) -> None:
        self._changes += 1
        self._changed[key] = self._changes
        self.journal.note(key, state)

    def _delta(self, request: Request) -> tuple[int, Any]:
        after = int(request.query.get("token", "0"))
        news = sorted((change, key) for key, change in self._changed.items() if change > after)
        shown = news[: self.page]
        last = shown[-1][0] if shown else after
        records = [self._or_removed(key) for _, key in shown]
        document: dict[str, Any] = {"items": self.in_order(records, request)}
        here = f"{request.base}/changes?token="
        if request.fault is Kind.DUPLICATED and _AGAIN not in request.query:
            document["next"] = f"{here}{after}&{_AGAIN}=1"
        elif len(news) > len(shown):
            document["next"] = f"{here}{last}"
        else:
            document["delta"] = f"{here}{last}"
        return 200, document

    def _or_removed(self, key: str) -> dict[str, Any]:
        return self.journal.living().get(key) or {"id": key, "@removed": {"reason": "deleted"}}

    def _all(self, request: Request) -> tuple[int, Any]:
        after, _, again = request.query.get("after", "").partition("~")
        names = sorted(key for key in self.journal.living() if key > after)
        shown = names[: self.page]
        records = [self.journal.living()[key] for key in shown]
        following = shown[-1] if len(names) > len(shown) else None
        if request.fault is Kind.DUPLICATED and not again:
            following = f"{after}~{_AGAIN}"
        return 200, {"items": self.in_order(records, request), "next": following}


def incident(key: str, source: random.Random) -> dict[str, Any]:
    """Make an incident up."""
    return {
        "id": key,
        "title": f"Disk {source.randrange(10_000)} is full",
        "priority": str(source.randint(1, 3)),
        "state": source.choice(["open", "waiting", "closed"]),
    }
