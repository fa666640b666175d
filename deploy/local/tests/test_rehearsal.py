import subprocess
import sys

from isthmus.kit.db import provision

# In a process of its own: others that run in this one open what they like.
_REHEARSING = """
import os, sys, threading
from isthmus.local.rehearsal import rehearse
before = os.listdir("/proc/self/fd")
rehearse("notes", {"ISTHMUS_DATABASE_URL": sys.argv[1]})
assert threading.active_count() == 1, threading.enumerate()
assert os.listdir("/proc/self/fd") == before, os.listdir("/proc/self/fd")
"""


async def test_nothing_that_a_fork_would_break_is_left_behind(database):
    """
    After a rehearsal no thread runs, and no file or connection is open that was not before.
    """
    places = await provision(database, {"notes": "secret"})

    rehearsing = subprocess.run(
        [sys.executable, "-c", _REHEARSING, places["notes"].url], capture_output=True, text=True, check=False
    )

    assert rehearsing.returncode == 0, rehearsing.stderr
