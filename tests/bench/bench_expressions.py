"""How fast CEL expressions in mappings are: `python tests/bench/bench_expressions.py`.

Series over the same records. In the first, 20 expressions make 20 fields; the function by hand is
what a careful author would write for exactly these records, and the library evaluates the same 20 as the
entries of one map, which converts each record once. In the second, the bytes of a page become the bytes of
mapped records; the program by hand is the first function between `orjson.loads` and `orjson.dumps`. In the
third and fourth, a condition is answered. The last shows what it costs that records of a mapping with an
expression travel as JSON, which those of rules do as lines of text. All in a series run in turns, and the
least processor time of each counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from bench_mapper import DEFINITION, incident, laden
from isthmus.mapper import compile_mapping
from isthmus.mapper.reading.conditions import predicate, read_condition
from isthmus.mapper.reading.report import Report
from isthmus.mapper.reading.steps import Scope

EXPRESSIONS = {
    "id": "record.id",
    "number": "'INC' + record.number",
    "title": "record.vendor + ': ' + record.title",
    "risk": "record.severity * 10 + record.impact",
    "critical": "record.severity >= 4 && record.exposed",
    "score": "record.score * 10.0",
    "state": "record.state == 'closed' ? 'done' : 'open'",
    "kind": "record.category in ['hardware', 'network'] ? 'device' : 'application'",
    "owner": "record.owner.name",
    "team": "record.owner.?team.orValue('unassigned')",
    "mail": "record.owner.mail.lowerAscii()",
    "days": "record.age / 24",
    "late": "record.age > 720",
    "external": "record.source.startsWith('ext-')",
    "server": "record.title.contains('server')",
    "first": "record.tags[0]",
    "tagged": "size(record.tags)",
    "reopened": "has(record.reopened) ? record.reopened : 0",
    "label": "record.id + '/' + record.state",
    "weight": "record.impact * 3 - record.severity",
}
FILTER = "record.severity >= 3 && record.state != 'closed' && record.source.startsWith('ext-')"
DEEP_FILTER = "record.owner.name == 'Person 7' || record.tags.exists(tag, tag == 'rack-3')"


def by_hand(record: dict[str, Any]) -> dict[str, Any]:
    """The 20 fields, written by hand."""
    owner, tags, severity = record["owner"], record["tags"], record["severity"]
    return {
        "id": record["id"],
        "number": "INC" + record["number"],
        "title": record["vendor"] + ": " + record["title"],
        "risk": severity * 10 + record["impact"],
        "critical": severity >= 4 and record["exposed"],
        "score": record["score"] * 10.0,
        "state": "done" if record["state"] == "closed" else "open",
        "kind": "device" if record["category"] in {"hardware", "network"} else "application",
        "owner": owner["name"],
        "team": owner.get("team", "unassigned"),
        "mail": owner["mail"].lower(),
        "days": record["age"] // 24,
        "late": record["age"] > 720,
        "external": record["source"].startswith("ext-"),
        "server": "server" in record["title"],
        "first": tags[0],
        "tagged": len(tags),
        "reopened": record.get("reopened", 0),
        "label": record["id"] + "/" + record["state"],
        "weight": record["impact"] * 3 - severity,
    }


def passes(record: dict[str, Any]) -> bool:
    """The first condition by hand."""
    return bool(
        record["severity"] >= 3 and record["state"] != "closed" and record["source"].startswith("ext-")
    )


def passes_deep(record: dict[str, Any]) -> bool:
    """The second condition by hand."""
    return record["owner"]["name"] == "Person 7" or any(tag == "rack-3" for tag in record["tags"])


def record_numbered(number: int) -> dict[str, Any]:
    """One of the records."""
    made = {
        "id": f"{number:032x}",
        "number": f"{number:07d}",
        "vendor": "Acme",
        "title": f"Disk of server {number} nearly full",
        "severity": number % 5 + 1,
        "impact": number % 7,
        "exposed": number % 2 == 0,
        "score": number % 100 / 10,
        "state": ("open", "closed", "waiting")[number % 3],
        "category": ("hardware", "software", "network")[number % 3],
        "owner": {"name": f"Person {number % 50}", "mail": f"Person.{number % 50}@Example.com"},
        "age": number % 2_000,
        "source": ("ext-scanner", "agent")[number % 2],
        "tags": ["disk", "server", f"rack-{number % 9}"],
    }
    if number % 4 == 0:
        made["owner"]["team"] = "storage"
        made["reopened"] = number % 3
    return made


def by_library(text: str) -> Callable[[dict[str, Any]], Any]:
    """The library's evaluator, which gives plain Python values."""
    from isthmus.mapper.cel.environment import environment

    compiled = environment((("record", "dyn"), ("now", "timestamp"))).check(text).compiled
    return lambda record: compiled.eval(data={"record": record}).plain_value()


def least(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least processor time of each, in turns."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            best[name] = min(best.get(name, float("inf")), time.process_time() - start)
    return best


def told(series: str, best: dict[str, float], count: int) -> float:
    """Prints a series; gives how many times as fast as by hand the plan is."""
    sys.stdout.write(f"{series}\n")
    for name, seconds in best.items():
        ratio = best["by hand"] / seconds
        sys.stdout.write(f"  {name:<24} {seconds / count * 1e6:8.2f} us/record {ratio:6.2f} x by hand\n")
    return best["by hand"] / best["plan"]


def fields(rounds: int, count: int) -> float:
    """The first series."""
    records = [record_numbered(number) for number in range(count)]
    mappings = [{"target": name, "expression": text} for name, text in EXPRESSIONS.items()]
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": mappings})
    typed = plan.typed(())
    assert typed is not None
    decoded = msgspec.json.decode(msgspec.json.encode(records), type=list[typed.record_type])  # type: ignore[name-defined]
    library = by_library("{" + ", ".join(f"'{name}': {text}" for name, text in EXPRESSIONS.items()) + "}")
    wanted = [by_hand(record) for record in records]
    assert plan.apply_many(records).records == wanted == typed.apply_many(decoded).records
    assert [library(record) for record in records[:50]] == wanted[:50]
    some = records[: count // 10]
    best = least(
        {
            "by hand": lambda: [by_hand(record) for record in records],
            "plan": lambda: plan.apply_many(records),
            "plan on structs": lambda: typed.apply_many(decoded),
            "library": lambda: [library(record) for record in some],
        },
        rounds,
    )
    best["library"] *= count / len(some)
    ratio = told("20 expressions, dictionary to dictionary", best, count)
    sys.stdout.write(f"  {best['library'] / best['plan']:.1f} x the library's evaluator\n")
    return ratio


def pages(rounds: int, count: int) -> float:
    """The second series, on records with as much again that nobody maps."""
    records = [laden(record_numbered(number)) for number in range(count)]
    mappings = [{"target": name, "expression": text} for name, text in EXPRESSIONS.items()]
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": mappings})
    typed = plan.typed(())
    assert typed is not None
    decode, encode = msgspec.json.Decoder(list[typed.record_type]).decode, msgspec.json.Encoder().encode  # type: ignore[name-defined]
    page = orjson.dumps(records)

    def hand() -> list[bytes]:
        return [orjson.dumps(by_hand(record)) for record in orjson.loads(page)]

    def structs() -> list[bytes]:
        return [encode(row) for row in typed.rows(decode(page)).records]

    def dictionaries() -> list[bytes]:
        return [encode(record) for record in plan.apply_many(msgspec.json.decode(page)).records]

    assert hand() == structs() == dictionaries()
    best = least({"by hand": hand, "plan on dictionaries": dictionaries, "plan": structs}, rounds)
    return told(f"A page of {len(page) // count} bytes a record to JSON", best, count)


def travelling(rounds: int, count: int) -> None:
    """The last series: 13 rules as they travel to a table, and the same with an expression among them."""
    rules = [{**rule, "target": rule["target"].replace(".", "_")} for rule in DEFINITION["field_mappings"]]
    label = {"target": "label", "expression": "record.number + ': ' + record.short_description"}
    others = [rule for rule in rules if rule["target"] != "label"]
    plain, mixed = (
        compile_mapping({**DEFINITION, "field_mappings": fields}).typed(())
        for fields in (rules, [*others, label])
    )
    assert plain is not None
    assert mixed is not None
    writer, now = plain.line_writer(["id"]), datetime.now(UTC)
    assert writer is not None
    assert mixed.line_writer(["id"]) is None
    page, encode = (
        orjson.dumps([laden(incident(number)) for number in range(count)]),
        msgspec.json.Encoder().encode,
    )
    one, other = (msgspec.json.Decoder(list[each.record_type]).decode for each in (plain, mixed))
    best = least(
        {
            "rules, lines of text": lambda: writer.lines(one(page), now=now),
            "rules, JSON": lambda: [encode(row) for row in plain.rows(one(page), now=now).records],
            "an expression, JSON": lambda: [encode(row) for row in mixed.rows(other(page), now=now).records],
        },
        rounds,
    )
    sys.stdout.write("13 fields on their way to a table\n")
    for name, seconds in best.items():
        sys.stdout.write(f"  {name:<24} {seconds / count * 1e6:8.2f} us/record\n")


def filters(series: str, text: str, hand: Callable[[dict[str, Any]], bool], rounds: int, count: int) -> float:
    """The second and third series: one function that answers for a record beside another."""
    records, now = [record_numbered(number) for number in range(count)], datetime.now(UTC)
    report = Report()
    condition = read_condition(Scope(report), {"expression": text}, "")
    assert condition is not None
    holds, library, some = predicate(condition), by_library(text), records[: count // 10]
    assert [holds(record, now) for record in records] == [hand(record) for record in records]
    best = least(
        {
            "by hand": lambda: [hand(record) for record in records],
            "plan": lambda: [holds(record, now) for record in records],
            "library": lambda: [library(record) for record in some],
        },
        rounds,
    )
    best["library"] *= count / len(some)
    return told(series, best, count)


def main(rounds: int = 40, count: int = 1_000) -> tuple[float, ...]:
    """Measures everything; gives the plan's speed as a multiple of the hand-written code's."""
    travelling(rounds, count)
    return (
        fields(rounds, count),
        pages(rounds, count),
        filters("A condition of three comparisons", FILTER, passes, rounds, count),
        filters("A condition with a macro", DEEP_FILTER, passes_deep, rounds, count),
    )


if __name__ == "__main__":
    main()
