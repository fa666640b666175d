"""Which writers are expected to bring nothing but new records."""

from isthmus.services.records.store.adding import Adding

FLOW = ("tenant", "stream", "flow")


def taught(*groups):
    """Gives one that has seen groups, new ones and others, and failed where it expected wrongly."""
    adding = Adding()
    for all_new in groups:
        if adding.is_expected(FLOW) and not all_new:
            adding.failed(FLOW)
        adding.learn(FLOW, all_new=all_new)
    return adding


def test_nobody_is_expected_to_bring_new_records_at_first():
    """
    A writer that nobody knows may bring anything.
    """
    assert not Adding().is_expected(FLOW)
    assert taught(True).is_expected(FLOW)


def test_each_mistake_makes_it_take_longer():
    """
    Who was expected wrongly three times has to bring eight groups of new records.
    """
    adding = taught(True, False, True, True, False, *[True] * 4, False, *[True] * 7)

    assert not adding.is_expected(FLOW)
    adding.learn(FLOW, all_new=True)
    assert adding.is_expected(FLOW)


def test_what_was_saved_pays_for_mistakes():
    """
    Readings that begin with what is there already and are long enough never become slow.
    """
    adding = taught(*[True, *[False], *[True] * 20] * 10)

    adding.failed(FLOW)
    adding.learn(FLOW, all_new=False)
    adding.learn(FLOW, all_new=True)
    adding.learn(FLOW, all_new=True)
    assert adding.is_expected(FLOW)
