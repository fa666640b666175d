"""Versions, differences and compatibility."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.services.registry.domain.configuration import canonical, compatibility
from isthmus.services.registry.domain.diff import Change, diff
from isthmus.services.registry.domain.model import Spec
from isthmus.services.registry.domain.pointer import pointer
from isthmus.services.registry.domain.semver import is_version, newest_first

from .test_schema import JSON

ORDERED = (
    "2.0.0 1.10.0 1.9.1 1.0.0 1.0.0-rc.1 1.0.0-beta.11 1.0.0-beta.2 1.0.0-beta 1.0.0-alpha.beta "
    "1.0.0-alpha.1 1.0.0-alpha"
)


@given(st.permutations(ORDERED.split()))
def test_versions_are_ordered_as_semver_says(shuffled):
    """
    Pre-releases come before their release, numbers before words, 10 after 9.
    """
    assert newest_first(shuffled) == tuple(ORDERED.split())


@pytest.mark.parametrize(
    "text", ["1", "1.2", "01.2.3", "1.2.3-01", "v1.2.3", "1.2.3-", "1.2.3 ", "1.2.3\n", "", "١.٢.٣"]
)
def test_other_texts_are_no_versions(text):
    """
    What is not a semantic version is told apart.
    """
    assert not is_version(text)


def test_a_difference_names_what_was_and_what_is():
    """
    Changed, added and removed fields are told by JSON pointer.
    """
    before = {"a": 1, "b": {"c": [1, 2], "gone": True}, "x/y": "~"}
    after = {"a": 1, "b": {"c": [1, 3, 4]}, "x/y": "z"}

    assert diff(json.dumps(before), json.dumps(after)) == [
        Change("/b/c/1", "2", "3"),
        Change("/b/c/2", "", "4"),
        Change("/b/gone", "true", ""),
        Change("/x~1y", '"~"', '"z"'),
    ]


@given(JSON, JSON)
def test_differences_are_told_from_both_sides(one, two):
    """
    Nothing differs from itself, and going back differs in the same places.
    """
    there, back = diff(json.dumps(one), json.dumps(two)), diff(json.dumps(two), json.dumps(one))

    assert diff(json.dumps(one), json.dumps(one)) == []
    assert [change.path for change in there] == [change.path for change in back]


def test_pointers_escape_what_separates_them():
    """
    A slash or tilde in a name does not look like a step.
    """
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"


@given(st.dictionaries(st.text(), JSON))
def test_equal_configurations_are_equal_texts(configuration):
    """
    The order in which fields were written makes no new revision.
    """
    backwards = dict(reversed(configuration.items()))

    assert canonical(configuration) == canonical(backwards)


@pytest.mark.parametrize(
    ("newest", "saved_with", "expected"),
    [
        ("1.0.0", "1.0.0", "compatible"),
        ("1.0.1", "1.0.0", "compatible"),
        ("1.1.0", "1.0.0", "upgrade_available"),
        ("2.0.0", "1.9.0", "upgrade_available"),
    ],
)
def test_newer_versions_are_offered(newest, saved_with, expected):
    """
    A later minor or major version that the configuration fits is worth telling.
    """
    spec = Spec("acme", newest, {"required": ["a"]}, "d", is_built_in=True, document="{}")

    assert compatibility(spec, saved_with, '{"a": 1}') == expected
    assert newest == saved_with or compatibility(spec, saved_with, "{}") == "incompatible"
