"""The page tells what the campaign came to."""

from collections import Counter

from campaign.accounting import Account, Difference
from campaign.campaign import Plan, Result
from campaign.page import page
from campaign.schedule import schedule


def test_page_tells_faults_and_accounts():
    """
    Every fault is counted, and so is everything that differs.
    """
    lost = Difference("hub, versions", "a", "lost", "")
    result = Result(
        strikes=schedule(7, 50),
        accounts=[Account("hub, versions", 10, (lost,)), Account("tickets, made", 4)],
        executions=Counter(completed=3, failed=1),
        failures=Counter({"UNREACHABLE": 1}),
        spoilt=12,
        seconds=90,
        rounds=2,
    )

    text = page(Plan(seed=7, faults=50), result, ["Day: today"])

    assert "| **all** | | **50** | | **50** |" in text
    assert "**Lost: 1. Doubled: 0.**" in text
    assert "| hub, versions | 10 | 1 | 0 | 0 |" in text
    assert "3 × completed, 1 × failed" in text
