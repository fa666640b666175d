"""Golden samples: what a mapping has to make of some records, stored with the version and tried on it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.mapper import Plan, Violation
from isthmus.resilience.faults import Precondition
from isthmus.services.mapping.domain.documents import compact
from isthmus.services.mapping.domain.trial import Outcome, Trial, tried

_MEMBERS = frozenset({"name", "input", "expected", "filtered", "rejected", "now"})
_OUTCOMES = ("expected", "filtered", "rejected")
_MOST = 100
_MOST_TOLD = 10
_MOST_NAMED = 5
_ALWAYS = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The evaluation time of samples that name none, so that they hold tomorrow as they hold today."""


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """Whether a sample holds, and where not; values are left out, because they may be anybody's."""

    name: str
    holds: bool
    message: str = ""
    paths: tuple[str, ...] = ()


def read_samples(text: str) -> tuple[str, list[Violation]]:
    """Read golden samples as they come in.

    Returns:
        The samples in compact form, and every mistake in them.
    """
    violations: list[Violation] = []
    packed = compact("golden_samples", text, violations) if text else "[]"
    samples = json.loads(packed) if packed else []
    if not isinstance(samples, list):
        message = "Golden samples are a list of objects with `input` and what is expected."
        return "[]", [Violation("/golden_samples", "WRONG_TYPE", message)]
    if len(samples) > _MOST:
        message = f"Keep at most {_MOST} golden samples; {len(samples)} are too many."
        violations.append(Violation("/golden_samples", "TOO_MANY", message))
    for index, sample in enumerate(samples[:_MOST]):
        violations += (
            Violation(f"/golden_samples/{index}", reason, message) for reason, message in _mistakes(sample)
        )
    return packed or "[]", violations


def _mistakes(sample: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(sample, dict) or not isinstance(sample.get("input"), dict):
        yield "WRONG_TYPE", "A golden sample is an object with the record as `input`."
        return
    if unknown := sorted(sample.keys() - _MEMBERS):
        known = ", ".join(sorted(_MEMBERS))
        yield "MEMBER_UNKNOWN", f"A golden sample has no {unknown[0][:60]!r}; it may have {known}."
    if len([name for name in _OUTCOMES if name in sample]) != 1:
        yield "OUTCOME_MISSING", "Say one of: `expected` (a record), `filtered: true`, `rejected` (a list)."
    if not isinstance(sample.get("expected", {}), dict | list):
        yield "WRONG_TYPE", "`expected` is the record that the mapping makes, or a list of records."
    if sample.get("filtered", True) is not True:
        yield "WRONG_TYPE", "Write `filtered: true`."
    rejected = sample.get("rejected", [])
    if not isinstance(rejected, list) or not all(
        isinstance(one, dict) and all(isinstance(value, str) for value in one.values()) for one in rejected
    ):
        yield "WRONG_TYPE", "`rejected` is a list of errors: `target`, `source` and `reason`, as texts."
    if not isinstance(sample.get("name", ""), str) or len(sample.get("name", "")) > 200:
        yield "WRONG_TYPE", "A name is a text of at most 200 characters."
    try:
        _moment(sample)
    except (TypeError, ValueError):
        yield "NOT_TIMESTAMP", "`now` is a time such as 2026-01-31T12:00:00Z."


def _moment(sample: dict[str, Any]) -> datetime:
    if "now" not in sample:
        return _ALWAYS
    moment = datetime.fromisoformat(sample["now"])
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def held(plan: Plan, samples: str) -> list[GoldenResult]:
    """Try golden samples on a plan, each at its own evaluation time."""
    results = []
    for index, sample in enumerate(json.loads(samples)):
        name = sample.get("name") or f"sample {index + 1}"
        [trial] = tried(plan, [sample["input"]], _moment(sample))
        results.append(_judged(name, sample, trial))
    return results


def _judged(name: str, sample: dict[str, Any], trial: Trial) -> GoldenResult:
    wanted = next(word for word in _OUTCOMES if word in sample)
    got = {Outcome.MAPPED: "expected", Outcome.FILTERED: "filtered", Outcome.REJECTED: "rejected"}
    if got[trial.outcome] != wanted:
        targets = tuple(dict.fromkeys(error.target or error.source for error in trial.errors))[:_MOST_TOLD]
        words = {"expected": "mapped", "filtered": "left out", "rejected": "rejected"}
        message = f"It is to be {words[wanted]}, but is {words[got[trial.outcome]]}"
        reasons = f": {trial.errors[0].reason}" if trial.errors else ""
        return GoldenResult(name, holds=False, message=f"{message}{reasons}.", paths=targets)
    if wanted == "rejected":
        met = [{"target": e.target, "source": e.source, "reason": e.reason} for e in trial.errors]
        missing = [
            one for one in sample["rejected"] if not any(one.items() <= error.items() for error in met)
        ]
        paths = tuple(one.get("target") or one.get("source") or "$" for one in missing)
        if missing or len(met) != len(sample["rejected"]):
            message = (
                f"Other errors are met than are listed: {', '.join(sorted({e['reason'] for e in met}))}."
            )
            return GoldenResult(name, holds=False, message=message, paths=paths[:_MOST_TOLD])
    if wanted == "expected":
        paths = tuple(_differing(sample["expected"], json.loads(trial.record)))
        if paths:
            more = f" and {len(paths) - _MOST_TOLD} more" if len(paths) > _MOST_TOLD else ""
            message = f"Something else is made of {', '.join(paths[:_MOST_TOLD])}{more}."
            return GoldenResult(name, holds=False, message=message, paths=paths[:_MOST_TOLD])
    return GoldenResult(name, holds=True)


_ABSENT = object()


def _differing(wanted: Any, got: Any, path: str = "") -> Iterator[str]:
    """Paths at which two JSON values differ; 1 and 1.0 are the same number, 1 and true are not the same."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name in dict.fromkeys([*wanted, *got]):
            inner = f"{path}.{name}" if path else name
            yield from _differing(wanted.get(name, _ABSENT), got.get(name, _ABSENT), inner)
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _differing(one, other, f"{path}[{index}]")
    elif wanted != got or isinstance(wanted, bool) != isinstance(got, bool):
        yield path or "$"


def refuse_failed(results: list[GoldenResult]) -> None:
    """Refuse a version whose samples do not all hold.

    Raises:
        Precondition: `GOLDEN_SAMPLES_FAILED`.
    """
    failed = [result for result in results if not result.holds]
    if not failed:
        return
    told = "; ".join(f"{one.name}: {one.message}" for one in failed[:_MOST_NAMED])
    more = f"; and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
    message = f"{len(failed)} of {len(results)} golden samples do not hold: {told}{more}"
    names = ", ".join(one.name for one in failed)[:1000]
    raise Precondition("GOLDEN_SAMPLES_FAILED", message, path="golden_samples", metadata={"failures": names})


__all__ = ["GoldenResult", "held", "read_samples", "refuse_failed"]
