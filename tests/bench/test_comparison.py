"""What `make bench` measures with."""

import json

import pytest
from comparison.faults import Fault, schedule
from comparison.figures.goals import Measured
from comparison.incidents import COLUMNS, PAGE, SALT, incident, items_text, row_text
from comparison.report import markdown, table
from comparison.running import Run
from comparison.series import Series


def test_incidents_are_the_same_every_time_and_of_the_promised_size():
    """
    Page and row are made apart from one another and tell the same.
    """
    page = items_text(0, PAGE)

    assert page == items_text(0, PAGE)
    assert 700 < len(page) / PAGE < 800
    assert json.loads(page)[97] == incident(97)
    assert len({row_text(number).partition("\t")[0] for number in range(PAGE)}) == PAGE


@pytest.mark.parametrize("number", [0, 5, 97, 194, 291])
def test_a_row_has_thirteen_columns_whatever_stands_in_the_title(number):
    """
    Tabs and backslashes are escaped as COPY does it.
    """
    row = row_text(number)

    assert row.count("\t") + 1 == len(COLUMNS) == 13
    assert row.count("\n") == 1


def test_other_contents_change_nothing_but_the_title():
    """
    The salt stands in one place, so replacing it in a rendered page is safe.
    """
    page = items_text(0, 200)

    assert page.count(SALT.encode()) == 200
    assert page.replace(SALT.encode(), b"rev00007") == items_text(0, 200, "rev00007")


def test_a_schedule_of_faults_follows_from_its_seed():
    """
    Every kind of fault comes up.
    """
    drawn = schedule(7, 100)

    assert drawn == schedule(7, 100) != schedule(8, 100)
    assert set(drawn.values()) == set(Fault)


def test_the_table_gives_ratios_of_rounds_and_reasons_of_those_without_runs():
    """
    A ratio is that of runs of the same round.
    """
    series = Series(1000, titles={"reference": "by hand", "hub": "ours", "dlt": "theirs"})
    series.runs["reference"] = [Run(1000, seconds, 0.004, 0.0, 1024**2) for seconds in (1.0, 9.0, 1.0)]
    series.runs["hub"] = [Run(1000, seconds, 0.008, 0.0, 1024**2) for seconds in (2.0, 18.0, 2.0)]
    series.absent["dlt"] = "skipped: no index"

    rows = table(series)

    assert rows[0][-1] == "÷ reference"
    assert rows[2] == ["ours", "500", "0.01", "8.0", "0.00", "1", "0.50"]
    assert rows[3][:2] == ["theirs", "skipped: no index"]
    assert len({len(line) for line in markdown(rows).splitlines()}) == 1


@pytest.mark.parametrize(
    ("value", "is_cost", "verdict"),
    [
        (0.5, False, "does not hold"),
        (0.7, False, "holds"),
        (0.95, False, "aim reached"),
        (0.5, True, "aim reached"),
        (0.8, True, "does not hold"),
    ],
)
def test_a_figure_is_judged_by_its_goal(value, is_cost, verdict):
    """
    Rates must be high and costs low; what did half of the job does not hold at any speed.
    """
    goals = (0.7, 0.7) if is_cost else (0.7, 0.95)

    assert Measured("it", value, *goals, is_cost=is_cost).verdict == verdict
    assert Measured("it", value, *goals, is_cost=is_cost, is_sound=False).verdict == "does not hold"
