"""Scales of severity agree with themselves and with one another."""

import pytest
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.scales import CRITICAL, LEVELS, SCALES
from isthmus.mapper.functions.severity import severity

NAMES = list(SCALES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_reads_what_it_writes(name):
    """
    Every value that a scale writes is read as the level that it was written for, by name and as text.
    """
    scale = SCALES[name]
    for level, value in scale.values.items():
        assert scale.level(value, scale.words()) == level
        assert scale.level(f" {value} ".upper(), scale.words()) == level


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_can_say_every_level(name):
    """
    Whatever the level, a scale has a value for it, and higher levels never become lower ones.
    """
    scale = SCALES[name]
    values = [scale.write(level) for level in range(1, len(LEVELS))]
    ranks = [scale.level(value, scale.words()) for value in values]

    assert None not in ranks
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("target", NAMES)
def test_the_worst_is_the_worst_everywhere(target):
    """
    What is critical becomes the highest value of the other scale, unless that knows what is worse.
    """
    highest = max(level for level in SCALES[target].values)
    made = severity("ocsf", target, None)(CRITICAL)

    assert SCALES[target].level(made, SCALES[target].words()) == (
        CRITICAL if CRITICAL in SCALES[target].values else highest
    )


@pytest.mark.parametrize("value", [None, True, [], {}, "nonsense", -1, 11, 1e300, float("nan"), "9" * 10_000])
def test_what_a_scale_does_not_know_is_refused(value):
    """
    A value outside of a scale is a precise refusal and never a guess.
    """
    with pytest.raises(Refusal, match="QRadar"):
        severity("qradar", "ocsf", None)(value)
