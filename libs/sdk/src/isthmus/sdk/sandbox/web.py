"""Requests and answers of a sandbox, and which method answers which path."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = [
    "Answer",
    "Call",
    "Refused",
    "Route",
    "delete",
    "get",
    "patch",
    "post",
    "put",
    "route",
    "routes_of",
]

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__isthmus_routes__"


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        method: In capitals.
        path: Without the query.
        query: The last value of each parameter.
        headers: By name in lower case.
        body: As it came.
        parts: What stands in the places of `{name}` in the route.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Refused: 400, it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused(400, "The body is no JSON.") from error

    def number(self, name: str, default: int, most: int) -> int:
        """A parameter that is a number from 0 on; more than `most` counts as `most`.

        Raises:
            Refused: 400, it is none.
        """
        text = self.query.get(name, "")
        if text and not text.isdigit():
            raise Refused(400, f"The parameter {name} is no number.")
        return min(int(text or default), most)


@dataclass(frozen=True)
class Answer:
    """What to answer with; anything but text and bytes goes out as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request that the system refuses, in the words and with the status that it has for it.

    Args:
        status: Of HTTP.
        message: What the system says.
        code: The system's own word for it, where it has one.
        headers: Sent along.
    """

    def __init__(
        self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Route:
    """Which requests a method answers."""

    method: str
    path: str


def route(method: str, path: str) -> Callable[[F], F]:
    """Let a method of a sandbox answer requests; `{name}` in the path stands for one part of it."""

    def mark(function: F) -> F:
        setattr(function, _MARK, [*getattr(function, _MARK, ()), Route(method, path)])
        return function

    return mark


def get(path: str) -> Callable[[F], F]:
    """Let a method answer GET."""
    return route("GET", path)


def post(path: str) -> Callable[[F], F]:
    """Let a method answer POST."""
    return route("POST", path)


def put(path: str) -> Callable[[F], F]:
    """Let a method answer PUT."""
    return route("PUT", path)


def patch(path: str) -> Callable[[F], F]:
    """Let a method answer PATCH."""
    return route("PATCH", path)


def delete(path: str) -> Callable[[F], F]:
    """Let a method answer DELETE."""
    return route("DELETE", path)


def routes_of(sandbox: object) -> list[tuple[Route, Callable[..., Any]]]:
    """Every route of a sandbox with the method that answers it."""
    found = []
    for name in dir(type(sandbox)):
        function = getattr(type(sandbox), name, None)
        found += [(one, getattr(sandbox, name)) for one in getattr(function, _MARK, ())]
    return found
