"""What strikes is drawn from a seed, and everything comes up."""

import pytest
from campaign.kinds import TARGETS, Kind
from campaign.schedule import rounds, schedule
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 10**6), st.integers(0, 80))
def test_the_same_seed_draws_the_same_faults(seed, faults):
    """
    A longer campaign begins like a shorter one of the same seed.
    """
    drawn = schedule(seed, faults)

    assert drawn == schedule(seed, faults + 5)[:faults]
    assert all(strike.target in TARGETS[strike.kind] for strike in drawn)
    assert all(bool(strike.seconds) != bool(strike.times) for strike in drawn)


def test_other_seeds_draw_other_faults():
    """
    The seed decides.
    """
    assert schedule(1, 20) != schedule(2, 20)


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_strikes_in_a_campaign_of_200(seed):
    """
    No kind is left to chance, and whatever can die dies.
    """
    drawn = schedule(seed, 200)
    killed = {strike.target for strike in drawn if strike.kind is Kind.KILL}

    assert {strike.kind for strike in drawn} == set(Kind)
    assert killed == set(TARGETS[Kind.KILL])


def test_short_campaigns_have_short_faults():
    """
    `longest` bounds every fault.
    """
    assert max(strike.seconds for strike in schedule(1, 200, longest=4)) == 4


@given(st.integers(1, 100), st.integers(1, 20))
def test_rounds_hold_every_fault_once_and_in_order(faults, size):
    """
    Cutting into rounds loses nothing, and no round is larger than asked for.
    """
    drawn = schedule(1, faults)
    parts = rounds(drawn, size)

    assert [strike for part in parts for strike in part] == drawn
    assert max(map(len, parts)) <= size
