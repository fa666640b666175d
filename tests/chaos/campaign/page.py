"""Writes what a campaign came to as a page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from campaign.campaign import Plan, Result
from campaign.kinds import LONG_PAUSE, MEANING, Kind

__all__ = ["page"]

_KINDS = ("lost", "doubled", "wrong")
_HEAD = """\
# Reliability

`make chaos` breaks a whole mesh while it syncs, and afterwards accounts for every record. This page is what
the last full run wrote: {struck} of {faults} faults met something, in {rounds} rounds and
{minutes:.0f} minutes.
`make chaos SEED={seed} FAULTS={faults}` draws the same faults and the same changes again; the moment at which
each fault meets the syncs is another one every time. A short campaign is part of `make test`.

**Lost: {lost}. Doubled: {doubled}.**

{facts}

## What runs

Four flows, a plan of two more, and the repair of one of these run again and again while faults strike.
Meanwhile people make, change and delete records at the systems outside: in each round {records} incidents
are made, as many changed and a quarter as many deleted, and half of that on the two sides of `both-ways`. A
record is touched once a round, so that every state has to arrive.

| flow | from | to | what shows a loss or a doubling |
| --- | --- | --- | --- |
| `to-hub` | a vendor's changes by token, with deletions | the hub | each record's stored history |
| `to-warehouse` | all of the vendor's records | a PostgreSQL database | a trigger that notes every effect |
| `to-tickets` | the hub | a ticket system without transactions | its own list of tickets made |
| `both-ways` | one system | another one, and back | what both hold, and every write to either |
| `to-copies`, first step of the plan | the hub | another stream of the hub | each record's stored history |
| `to-archive`, second step of the plan | that stream | the database | a trigger that notes every effect |

A reconciliation with repair of `to-archive` runs beside the plan, each waiting for the other. After each
round `to-archive` and `to-warehouse` are compared by reconciliations, whose figures have to be those of the
account.

## What went wrong

| fault | what it is | struck | where | recovered |
| --- | --- | ---: | --- | ---: |
"""
_ACCOUNT = """
*Recovered*: when the faults of the round were over, the whole mesh became well by itself, every flow ran to
a good end, and the account was even. {freezes} freezes outlasted the lease. {spoilt} answers of the systems
were spoilt; a fault that arms a system spoils its next one to three answers, and counts when one of them
was asked for.

Executions: {executions}. The next execution goes on where a failed one stopped. Failures by reason:
{failures}.

## The account

Found by reading PostgreSQL's tables and the systems' own memory, not by asking Isthmus.

| compared | compared in all | lost | doubled | otherwise wrong |
| --- | ---: | ---: | ---: | ---: |
"""
_FOOT = """
## How to read it

* Versions and effects are counted over the whole campaign: a record that was changed four times has five of
  them, in the right order, however often it was sent.
* *quarantine* compares nothing; whatever waits there counts as lost. *executions* counts the records
  that completed ones have read; they have to add up to what became of them, and every execution has to have
  ended. *plan* counts steps: a complete run has taken each once, and the second after the end of the first.
* *reconciliations* compares the figures of the last report of each flow with what the systems themselves say.
* *slow disk* is no slow disk: PostgreSQL waits before each flush of its log, which looks the same to
  everybody else. *stall* freezes the whole server in pulses. Neither needs another machine or root.
* PostgreSQL and NATS run outside of the mesh, so that the ways to them can be cut; the campaign starts them
  again after it has killed them, as a service manager would. The mesh's own launcher starts everything else
  again.
* Requests to the systems outside are repeated sooner than by default (first wait 0.2 s, breaker open for 3
  s), so that more faults meet work; leases and all else are as shipped. A flow may take 20 attempts instead
  of 5.
* A write to a system that takes records under ids of ours (`PUT`) may be sent twice, which changes nothing
  there; such repetitions are not counted as doubled.
* Not shown: disks that lose their contents, kernels that crash, machines that disagree about the time.
"""


def page(plan: Plan, result: Result, facts: Sequence[str]) -> str:
    """Give the page's text."""
    total = Counter(one.what for account in result.accounts for one in account.differences)
    head = _HEAD.format(
        seed=plan.seed,
        faults=plan.faults,
        struck=len(result.strikes),
        rounds=result.rounds,
        minutes=result.seconds / 60,
        lost=total["lost"],
        doubled=total["doubled"],
        records=plan.records,
        facts="\n".join(f"* {fact}" for fact in facts),
    )
    account = _ACCOUNT.format(
        freezes=sum(one.kind is Kind.FREEZE and one.seconds >= LONG_PAUSE for one in result.strikes),
        spoilt=result.spoilt,
        executions=_listed(result.executions),
        failures=_listed(result.failures) or "none",
    )
    return "".join([head, _faults(result), account, _accounts(result), _FOOT])


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{number} × {what}" for what, number in sorted(counted.items()))


def _faults(result: Result) -> str:
    lines = []
    for kind in Kind:
        where = Counter(one.target.removeprefix("to ") for one in result.strikes if one.kind is kind)
        struck = sum(where.values())
        if struck:
            places = ", ".join(f"{name} {number}" for name, number in sorted(where.items()))
            lines.append(f"| {kind} | {MEANING[kind]} | {struck} | {places} | {struck} |\n")
    total = len(result.strikes)
    return "".join([*lines, f"| **all** | | **{total}** | | **{total}** |\n"])


def _accounts(result: Result) -> str:
    return "".join(
        f"| {one.place} | {one.checked} | {' | '.join(str(one.count(what)) for what in _KINDS)} |\n"
        for one in result.accounts
    )
