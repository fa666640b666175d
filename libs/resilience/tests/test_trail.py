"""Chains of hashed entries: whatever is done to one is found, and where."""

from dataclasses import replace

import pytest
from isthmus.resilience.trail import BEGINNING, Checkpoint, Entry, Kind, hash_of, inspect


def chain(count=9, begin=1, before=BEGINNING, word="entry"):
    made = []
    for sequence in range(begin, begin + count):
        content = {"says": f"{word} {sequence}"}
        entry = Entry(sequence, content, before, hash_of(before, sequence, content))
        made.append(entry)
        before = entry.hash
    return made


def found(entries, checkpoints=(), first=1):
    return [(finding.kind, finding.sequence) for finding in inspect(entries, checkpoints, first=first)]


def placed(entries):
    return [replace(entry, sequence=place) for place, entry in enumerate(entries, 1)]


def forged(entry, **content):
    changed = replace(entry, content=content)
    return replace(changed, hash=hash_of(changed.previous_hash, changed.sequence, content))


def test_a_whole_chain_is_whole():
    """
    Nothing is found where nothing was done; nor in its later part alone.
    """
    whole = chain()

    assert found(whole) == []
    assert found(whole[4:], first=5) == []
    assert found(whole, [Checkpoint(9, whole[8].hash), Checkpoint(3, whole[2].hash)]) == []


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        pytest.param(
            lambda c: [*c[:4], replace(c[4], content={"says": "lie"}), *c[5:]], "changed 5", id="changed"
        ),
        pytest.param(
            lambda c: [*c[:4], forged(c[4], says="lie"), *c[5:]], "changed 5", id="changed-and-hashed"
        ),
        pytest.param(lambda c: [replace(c[0], content={}), *c[1:]], "changed 1", id="first-changed"),
        pytest.param(lambda c: [*c[:4], *c[5:]], "deleted 5", id="deleted"),
        pytest.param(lambda c: c[2:], "deleted 1", id="beginning-deleted"),
        pytest.param(lambda c: placed([*c[:4], *c[5:]]), "deleted 5", id="deleted-and-renumbered"),
        pytest.param(
            lambda c: placed([*c[:4], forged(c[4], says="lie"), *c[4:]]), "inserted 5", id="inserted"
        ),
        pytest.param(lambda c: placed([*c[:3], c[4], c[3], *c[5:]]), "reordered 4", id="neighbours-swapped"),
        pytest.param(
            lambda c: placed([c[0], c[6], *c[2:6], c[1], *c[7:]]), "reordered 2", id="far-ones-swapped"
        ),
        pytest.param(lambda c: c[:6], "cut_off 7", id="cut-off"),
        pytest.param(lambda c: [], "cut_off 1", id="all-gone"),
        pytest.param(lambda c: chain(word="other"), "rewritten 9", id="rewritten"),
    ],
)
def test_what_was_done_to_a_chain_is_found_and_located(harm, expected):
    """
    The first thing that is said is what was done, and where.
    """
    whole = chain()
    # As in a mesh, somebody else knows the end.
    findings = found(harm(list(whole)), [Checkpoint(9, whole[8].hash)])

    assert f"{findings[0][0]} {findings[0][1]}" == expected
    assert all(kind in Kind for kind, _ in findings)
