"""Compares what should be with what is, record by record; knows nothing of how either was found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from campaign.journal import State

__all__ = [
    "Account",
    "Difference",
    "compare_effects",
    "compare_executions",
    "compare_figures",
    "compare_runs",
    "compare_states",
    "compare_versions",
]

_PARTS = ("created", "updated", "unchanged", "deleted", "filtered", "quarantined")


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be.

    Attributes:
        place: Where it was found.
        key: Which record.
        what: `lost`, `doubled` or `wrong`.
        detail: What should be, and what is.
    """

    place: str
    key: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key} {self.what}: {self.detail}"


@dataclass(frozen=True)
class Account:
    """What comparing came to.

    Attributes:
        place: Where.
        checked: How many things were compared: versions, effects, or records.
        differences: Those that are not as they should be.
    """

    place: str
    checked: int
    differences: tuple[Difference, ...] = ()

    def count(self, what: str) -> int:
        """Tell how many differences are of a kind."""
        return sum(one.what == what for one in self.differences)


def compare_versions(
    place: str, expected: Mapping[str, Sequence[State]], found: Mapping[str, Sequence[State]]
) -> Account:
    """Compare the whole history of each record: one version for each change, no more, no fewer.

    Args:
        place: What to call it.
        expected: Every state that each record should have been in, oldest first.
        found: Every state that is stored of it, oldest first.
    """
    differences = []
    for key in sorted({*expected, *found}):
        should, has = list(expected.get(key, ())), list(found.get(key, ()))
        if should != has:
            what = "doubled" if len(has) > len(should) else "lost" if len(has) < len(should) else "wrong"
            detail = f"{len(should)} versions expected, {len(has)} found; {_first_difference(should, has)}"
            differences.append(Difference(place, key, what, detail))
    return Account(place, sum(map(len, expected.values())), tuple(differences))


def compare_states(place: str, expected: Mapping[str, State], found: Iterable[tuple[str, State]]) -> Account:
    """Compare what there is now; a record that is there twice is doubled."""
    held: dict[str, list[State]] = {}
    for key, state in found:
        held.setdefault(key, []).append(state)
    differences = []
    for key in sorted({*expected, *held}):
        has = held.get(key, [])
        if key not in expected or len(has) > 1:
            differences.append(Difference(place, key, "doubled", f"there {len(has)} times: {has}"))
        elif not has:
            differences.append(Difference(place, key, "lost", f"not there: {expected[key]}"))
        elif has[0] != expected[key]:
            differences.append(Difference(place, key, "wrong", f"{expected[key]} expected, {has[0]} found"))
    return Account(place, len(expected), tuple(differences))


def compare_effects(place: str, expected: Iterable[str], found: Iterable[str]) -> Account:
    """Compare effects that must happen exactly once for each key, as making a ticket does."""
    should, has = set(expected), Counter(found)
    differences = [Difference(place, key, "lost", "never made") for key in sorted(should - has.keys())]
    for key, times in sorted(has.items()):
        wanted = int(key in should)
        if times > wanted:
            differences.append(Difference(place, key, "doubled", f"made {times} times instead of {wanted}"))
    return Account(place, len(should), tuple(differences))


def compare_executions(place: str, found: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Account:
    """Check that every execution has ended and that completed ones account for each record they read.

    Args:
        place: What to call it.
        found: Id, status and counts of each.
    """
    differences, checked = [], 0
    for name, status, counts in found:
        if status in {"pending", "running"}:
            differences.append(Difference(place, name, "wrong", f"still {status}"))
        elif status == "completed":
            read, parts = int(counts.get("read", 0)), sum(int(counts.get(part, 0)) for part in _PARTS)
            checked += read
            if read != parts:
                what = "lost" if parts < read else "doubled"
                differences.append(Difference(place, name, what, f"read {read}, accounted for {parts}"))
    return Account(place, checked, tuple(differences))


def compare_runs(place: str, steps: Sequence[str], found: Iterable[Sequence[Any]]) -> Account:
    """Check that runs of a plan have ended, and that a complete one has taken each step once and in order.

    Args:
        place: What to call it.
        steps: Names of the plan's steps, each after the one before.
        found: Of each step of each run: run, its status, step, its status, its beginning, its end.
    """
    runs: dict[str, list[Sequence[Any]]] = {}
    for row in found:
        runs.setdefault(str(row[0]), []).append(row)
    differences, checked = [], 0
    for name, rows in runs.items():
        status, taken = rows[0][1], [row[2:] for row in rows if row[2]]
        names = [str(step) for step, *_ in taken]
        checked += len(taken)
        if status in {"running", "compensating"}:
            differences.append(Difference(place, name, "wrong", f"still {status}"))
        elif len(names) > len(set(names)):
            differences.append(Difference(place, name, "doubled", f"steps taken: {names}"))
        elif status == "completed" and (names != list(steps) or any(one[1] != status for one in taken)):
            differences.append(Difference(place, name, "lost", f"completed, but steps are {taken}"))
        elif any(later[2] < before[3] for before, later in pairwise(taken)):
            differences.append(Difference(place, name, "wrong", f"steps overlap: {taken}"))
    return Account(place, checked, tuple(differences))


def compare_figures(
    place: str,
    expected: Mapping[str, Sequence[int]],
    found: Mapping[str, Sequence[int]],
    open_reports: Sequence[str] = (),
) -> Account:
    """Compare what reconciliations have found last with what is known otherwise.

    Args:
        place: What to call it.
        expected: By flow: missing, different, extra, equal and unreadable records.
        found: The same as reported.
        open_reports: Reports that have not ended.
    """
    differences = [Difference(place, name, "wrong", "the report is still open") for name in open_reports]
    for name, should in expected.items():
        has = list(found.get(name, ()))
        if has != list(should):
            detail = f"missing, different, extra, equal, unreadable: {should} expected, {has} found"
            differences.append(Difference(place, name, "wrong", detail))
    return Account(place, sum(map(sum, expected.values())), tuple(differences))


def _first_difference(should: list[State], has: list[State]) -> str:
    place = next((n for n, (a, b) in enumerate(zip(should, has, strict=False)) if a != b), None)
    if place is None:
        place = min(len(should), len(has))
    return f"from version {place + 1} on {should[place : place + 2]} expected, {has[place : place + 2]} found"
