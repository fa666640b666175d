"""A short campaign: faults strike a whole mesh at work, and no record is lost or doubled."""

import shutil
import tempfile
from pathlib import Path

import pytest
from campaign.campaign import Plan, run

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


def test_nothing_is_lost_or_doubled_while_faults_strike():
    """
    What struck, and what differs, is in the output when it fails; data and logs are left then.
    """
    # Outside pytest's own folders, which the unprivileged user of PostgreSQL could not enter.
    folder = Path(tempfile.mkdtemp(prefix="isthmus-chaos-"))
    result = run(Plan(seed=35, faults=8, records=120, page=20, longest=4, patience=400), folder, print)
    shutil.rmtree(folder, ignore_errors=True)

    assert not [one for account in result.accounts for one in account.differences]
    assert sum(account.checked for account in result.accounts) > 1000
