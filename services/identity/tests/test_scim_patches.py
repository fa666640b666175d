"""Operations on parts of a resource, without a server."""

import pytest
from isthmus.resilience.faults import FixRequest
from isthmus.services.identity.domain.scim import ENTRA, GROUPS, OKTA, STRICT, USERS, patched, read

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ANN = {
    "userName": "ann",
    "title": "Chief",
    "name": {"givenName": "Ann", "familyName": "Archer"},
    "emails": [
        {"value": "w@a.example", "type": "work", "primary": True},
        {"value": "h@a.example", "type": "home"},
    ],
}


def after(*operations, tolerance=STRICT, document=ANN, kind=USERS):
    """Return the document after operations, given as (op, path, value)."""
    listed = [
        {name: part for name, part in zip(("op", "path", "value"), one, strict=False) if part is not None}
        for one in operations
    ]
    return patched(kind, document, {"schemas": [PATCH], "Operations": listed}, tolerance)


def test_operations_work_on_what_their_paths_name():
    """
    Single values, parts, entries of lists, and no path at all.
    """
    changed, _ = after(
        ("replace", "TITLE", "Boss"),
        ("replace", "name.givenName", "Anna"),
        ("remove", 'emails[type eq "home"]'),
        ("add", "emails", [{"value": "o@a.example", "type": "other"}]),
        ("add", None, {"nickName": "A", "name": {"middleName": "B"}}),
    )

    assert changed["title"] == "Boss"
    assert changed["name"] == {"givenName": "Anna", "familyName": "Archer", "middleName": "B"}
    assert [one["type"] for one in changed["emails"]] == ["work", "other"]
    assert changed["nickName"] == "A"
    assert ANN["title"] == "Chief"


def test_one_entry_is_the_primary_one():
    """
    Whichever is made so last.
    """
    changed, _ = after(("replace", 'emails[type eq "home"].primary', True))

    assert [one.get("primary") for one in changed["emails"]] == [False, True]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (("Replace", "title", "x"), "invalidSyntax"),
        (("replace", "active", "False"), "invalidValue"),
        (("replace", "nothing", "x"), "invalidPath"),
        (("replace", "id", "x"), "mutability"),
        (("replace", "groups", []), "mutability"),
        (("remove", "userName"), "mutability"),
        (("remove", None), "noTarget"),
        (("add", 'emails[type eq "x"].value', "v"), "noTarget"),
        (("remove", "emails", [{"value": "h@a.example"}]), "invalidSyntax"),
        (("add", None, {"name.givenName": "x"}), "invalidPath"),
        (
            ("add", "emails", [{"value": "x", "primary": True}, {"value": "y", "primary": True}]),
            "invalidValue",
        ),
        (("add", "emails[", "x"), "invalidPath"),
        (("add", 'title[value eq "x"]', "x"), "invalidPath"),
    ],
    ids=str,
)
def test_the_strict_server_refuses_with_the_kind_of_the_standard(operation, kind):
    """
    Nothing of a request is done when one operation of it is wrong.
    """
    with pytest.raises(FixRequest) as refused:
        after(("replace", "title", "y"), operation)

    assert refused.value.metadata["scim_type"] == kind


def test_a_group_is_never_emptied_by_who_names_members_beside_the_path():
    """
    Entra's way of removing one member removes that one; without tolerance nothing.
    """
    team = {"displayName": "team"}
    operation = ("Remove", "members", [{"value": "usr_1"}])

    _, change = after(operation, tolerance=ENTRA, document=team, kind=GROUPS)

    assert (change.is_reset, change.out) == (False, {"usr_1"})
    with pytest.raises(FixRequest):
        after(("remove", "members", [{"value": "usr_1"}]), document=team, kind=GROUPS)


def test_members_come_and_go_in_order():
    """
    The last operation about a member counts.
    """
    _, change = after(
        ("add", "members", [{"value": "a"}, {"value": "b"}]),
        ("remove", 'members[value eq "a" or value eq "c"]'),
        ("add", "members", [{"$ref": "https://x.example/Users/d"}]),
        document={"displayName": "team"},
        kind=GROUPS,
    )

    assert (list(change.put), change.out, change.is_reset) == (["b", "d"], {"a", "c"}, False)


def test_okta_may_repeat_what_only_the_server_sets():
    """
    Its change of a group's name carries the id.
    """
    changed, _ = after(
        ("replace", None, {"id": "grp_1", "displayName": "new"}),
        tolerance=OKTA,
        document={"displayName": "old"},
        kind=GROUPS,
    )

    assert changed == {"displayName": "new"}


def test_a_document_is_read_by_the_names_of_its_schema():
    """
    Whatever their case; what is not kept here is left out, and so is what has no value.
    """
    raw = {
        "schemas": [USERS.schema.urn],
        "USERNAME": "Ann",
        "password": "secret",
        "roles": [{"value": "admin"}],
        "id": "x",
        "groups": [{"value": "g"}],
        "Emails": [{"Value": "a@b.example", "Nothing": 1}],
        "title": None,
    }

    assert read(USERS, raw, STRICT) == {"userName": "Ann", "emails": [{"value": "a@b.example"}]}
