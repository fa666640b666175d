"""Runs a campaign: `python -m campaign --seed 7 --faults 200 --page docs/reliability.md`."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

# Servers are started while gRPC is at work; its own handlers of fork crash some of those children.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from campaign.campaign import NotAsItShouldBe, Plan, run
from campaign.machine import facts
from campaign.page import page

__all__ = ["main"]

_FAULTS_OF_A_PAGE = 100


def main() -> int:
    """Run what the options ask for; 1 when something was lost or doubled."""
    parser = argparse.ArgumentParser(description="Breaks a mesh at work and accounts for every record.")
    parser.add_argument("--seed", type=int, default=0, help="draws faults and changes; 0 chooses one")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--records", type=int, default=Plan.records)
    parser.add_argument("--page", type=Path, help="page for the figures of 100 faults or more")
    given = parser.parse_args()
    seed = given.seed or random.SystemRandom().randint(1, 999_999)
    plan = Plan(seed=seed, faults=given.faults, records=given.records)
    loads = facts()
    folder = Path(tempfile.mkdtemp(prefix="isthmus-chaos-"))
    began = time.monotonic()
    # Whoever stops the campaign wants the mesh to end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    def tell(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {line}\n")
        sys.stdout.flush()

    tell(f"seed {seed}, {given.faults} faults, in {folder}")
    try:
        result = run(plan, folder, tell)
    except NotAsItShouldBe as failure:
        tell(f"seed {seed}: {failure}")
        tell(f"data and logs are in {folder}")
        return 1
    text = page(plan, result, loads)
    sys.stdout.write(f"\n{text}")
    if given.page and given.faults >= _FAULTS_OF_A_PAGE:
        given.page.write_text(text)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
