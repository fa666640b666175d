"""A ticket system without transactions: each POST that takes effect makes a ticket."""

from __future__ import annotations

from typing import Any

from campaign.systems import Request, System

__all__ = ["Tickets"]


class Tickets(System):
    """Keeps tickets under numbers of its own.

    Attributes:
        tickets: What there is, by number.
        created: The record's id of each ticket that was ever made, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tickets: dict[str, dict[str, Any]] = {}
        self.created: list[str] = []

    def answer(self, request: Request) -> tuple[int, Any]:
        """Find, make, change or remove."""
        if request.method == "GET":
            return 200, {"tickets": self._found(request.query)}
        if request.method == "POST":
            self.created.append(str(request.body.get("id")))
            number = f"T-{len(self.created)}"
            self.tickets[number] = {**request.body, "number": number}
            return 201, self.tickets[number]
        if request.name not in self.tickets:
            return 404, {"error": "no such ticket"}
        if request.method == "DELETE":
            return 200, self.tickets.pop(request.name)
        self.tickets[request.name] |= request.body
        return 200, self.tickets[request.name]

    def _found(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        return [
            ticket
            for ticket in self.tickets.values()
            if all(str(ticket.get(name)) == value for name, value in wanted.items())
        ]
