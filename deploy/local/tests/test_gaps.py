"""Memory that is free between objects is taken before processes are forked."""

import subprocess
import sys

COUNT = """
import sys
from isthmus.local import gaps

kept = [bytes(size) for size in range(400)] * 2
kept = [bytes(number % 400) for number in range(100_000)][::7]
before = sum(free for _, free in gaps._free_blocks())
gaps.fill_gaps()
after = sum(free for _, free in gaps._free_blocks())
print("said after it", file=sys.stderr)
print(before, after)
"""


def test_gaps_are_filled():
    """
    Of the blocks that are free between objects one in twenty is left, and messages go where they went before.
    """
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)

    before, after = map(int, done.stdout.split())
    assert before > 10_000
    assert after < before / 20
    assert done.stderr == "said after it\n"
