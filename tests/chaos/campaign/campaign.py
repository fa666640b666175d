"""The campaign itself: rounds of changes, syncs and faults, and after each round the account."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from campaign.accounting import Account, Difference
from campaign.editing import Edits
from campaign.flows import FLOWS, PLAN
from campaign.mesh import StillDown
from campaign.scene import CHECKS, REPAIR, Scene, open_scene
from campaign.schedule import Strike, rounds, schedule
from campaign.storm import Storm
from campaign.traffic import Traffic

__all__ = ["NotAsItShouldBe", "Plan", "Result", "run"]


class NotAsItShouldBe(Exception):
    """Records were lost or doubled, or the mesh did not become well again."""

    def __init__(self, why: str, differences: tuple[Difference, ...] = ()) -> None:
        super().__init__("\n".join([why, *map(str, differences[:50])]))
        self.differences = differences


@dataclass(frozen=True)
class Plan:
    """What a campaign is to be like.

    Attributes:
        seed: Draws faults and changes.
        faults: How many faults strike.
        records: Incidents that are made in the beginning and again in each round, with half as many items
            on the two sides; in each round as many are changed, and a quarter as many deleted.
        page: Records on a page.
        in_round: Faults in one round.
        longest: No fault lasts longer.
        patience: Seconds in which the mesh has to become well, and in which an execution has to end.
    """

    seed: int
    faults: int
    records: int = 200
    page: int = 40
    in_round: int = 8
    longest: float = 22.0
    patience: float = 300.0


@dataclass
class Result:
    """What a campaign came to.

    Attributes:
        strikes: Faults that struck and that somebody met.
        accounts: The account after the last round.
        executions: How many ended in which status.
        failures: How many failed for which reason.
        spoilt: Answers of the systems that went wrong.
        seconds: How long it took.
        rounds: How many rounds there were.
    """

    strikes: list[Strike]
    accounts: list[Account]
    executions: Counter[str]
    failures: Counter[str]
    spoilt: int
    seconds: float
    rounds: int


def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Result:
    """Run a campaign in a folder, which is left behind.

    Args:
        plan: What it is to be like.
        folder: Data and logs.
        tell: Gets a line for everything that happens.

    Raises:
        NotAsItShouldBe: with the differences.
    """
    began = time.monotonic()
    parts = rounds(schedule(plan.seed, plan.faults, longest=plan.longest), plan.in_round)
    source = random.Random(plan.seed)
    tell("starting servers and mesh")
    with open_scene(folder, page=plan.page) as scene:
        storm = Storm(scene, tell)
        traffic = Traffic(scene.works, plan.patience, tell)
        accounts: list[Account] = []
        part = plan.records // plan.in_round
        edits = Edits(part, part, part // 4)
        # Brings the hub's stream into being, which another flow reads from the first moment on.
        scene.edit(source, Edits(plan.records))
        traffic.complete(("to-hub",), (PLAN,))
        for number, strikes in enumerate(parts, start=1):
            try:
                _round(scene, storm, traffic, strikes, partial(scene.edit, source, edits), plan.patience)
            except StillDown as down:
                raise NotAsItShouldBe(str(down)) from down
            accounts = scene.account()
            _judge(accounts, number)
            tell(f"round {number} of {len(parts)}: {_summary(accounts)}; {dict(traffic.ended)}")
        spoilt = sum(system.spoilt for system in scene.systems.values())
        return Result(
            strikes=[strike for strike in storm.struck if scene.was_felt(strike)],
            accounts=accounts,
            executions=traffic.ended,
            failures=traffic.failures,
            spoilt=spoilt,
            seconds=time.monotonic() - began,
            rounds=len(parts),
        )


def _round(
    scene: Scene,
    storm: Storm,
    traffic: Traffic,
    strikes: list[Strike],
    edit: Callable[[], None],
    patience: float,
) -> None:
    """Strike while everything runs and people edit; afterwards bring it to a good end, and compare sides."""
    scene.slow_down(begin=True)
    traffic.begin((*FLOWS, PLAN, REPAIR))
    try:
        storm.rage(strikes, edit)
    finally:
        scene.slow_down(begin=False)
        traffic.stop()
    _become_well(scene, patience)
    traffic.end()
    traffic.complete(("to-hub", "to-warehouse", "both-ways"), ("to-tickets", PLAN), CHECKS)
    scene.untouched.end_round()


def _become_well(scene: Scene, patience: float) -> None:
    end = time.monotonic() + patience
    while ailing := scene.mesh.ailing():
        if time.monotonic() > end:
            raise StillDown(f"not well {patience:.0f} s after the last fault: {', '.join(ailing)}")
        time.sleep(0.2)


def _judge(accounts: list[Account], number: int) -> None:
    differences = tuple(one for account in accounts for one in account.differences)
    if differences:
        counted = Counter(one.what for one in differences)
        raise NotAsItShouldBe(f"after round {number}: {dict(counted)}", differences)


def _summary(accounts: list[Account]) -> str:
    return ", ".join(f"{account.place} {account.checked}" for account in accounts)
