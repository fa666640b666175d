"""Proposed mappings, measured on pairs of schemas whose fields people have put together."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.mapper import compile_mapping
from isthmus.mapper.suggestions import proposals, suggest
from isthmus.mapper.suggestions.names import likeness, read_name
from isthmus.mapper.suggestions.values import kind_of_samples
from isthmus.models import schema_of

LEAST_PRECISION, LEAST_RECALL = 0.85, 0.85


def fields(*names, **more):
    """A schema of texts with these names, and of what else is said."""
    described = {name: {"type": "string"} for name in names} | more
    return {"type": "object", "properties": described}


@dataclass(frozen=True)
class Labelled:
    """Two schemas, and the pairs that a person finds right; `samples` are records of the source."""

    source: dict
    model: str
    right: dict
    samples: tuple = ()


SERVICENOW_INCIDENT = fields(
    *[
        "number",
        "sys_id",
        "short_description",
        "description",
        "state",
        "priority",
        "opened_at",
        "sys_updated_on",
    ],
    *["assigned_to", "assignment_group", "caller_id", "category", "close_notes"],
)
SERVICENOW_SERVER = fields(
    *[
        "sys_id",
        "name",
        "sys_class_name",
        "owned_by",
        "used_for",
        "last_discovered",
        "short_description",
        "ip_address",
    ],
    *["serial_number", "manufacturer", "os_version"],
)
ENTRA_USER = fields(
    *[
        "id",
        "displayName",
        "givenName",
        "surname",
        "mail",
        "userPrincipalName",
        "jobTitle",
        "department",
        "mobilePhone",
    ],
    "preferredLanguage",
    accountEnabled={"type": "boolean"},
)
EDR_ALERT = fields(
    *["alert_id", "created_timestamp", "title", "description", "hostname", "tactic", "sha256", "cmdline"],
    severity_name={"type": "string", "enum": ["Low", "Medium", "High", "Critical"]},
    state={"type": "string", "enum": ["new", "resolved"]},
)
EDR_EVENT = fields(
    *[
        "EventUid",
        "EventTime",
        "ComputerName",
        "UserName",
        "SourceIp",
        "SourcePort",
        "DestIp",
        "DestPort",
        "Severity",
    ]
)
GITHUB_ISSUE = fields(
    *("id", "number", "title", "body", "state", "created_at", "updated_at", "closed_at", "html_url"),
    user=fields("login"),
    assignee=fields("login"),
    labels={"type": "array", "items": fields("name")},
)
OKTA_USER = fields(
    *("id", "status", "created", "lastUpdated", "lastLogin"),
    profile=fields("firstName", "lastName", "email", "login", "mobilePhone", "title", "department"),
)
JIRA_ISSUE = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "self": {"type": "string", "format": "uri"},
        "fields": fields(
            "summary",
            "created",
            "updated",
            status=fields("name"),
            priority=fields("name"),
            issuetype=fields("name"),
        ),
    },
}
LABELLED = {
    "servicenow incident to case": Labelled(
        SERVICENOW_INCIDENT,
        "isthmus/case@1",
        {
            "number": "id",
            "short_description": "title",
            "description": "description",
            "state": "status",
            "priority": "priority",
            "opened_at": "created_at",
            "sys_updated_on": "updated_at",
            "assigned_to": "assignee",
        },
    ),
    "servicenow server to configuration item": Labelled(
        SERVICENOW_SERVER,
        "isthmus/cmdb_ci@1",
        {
            "sys_id": "ciId",
            "name": "name",
            "sys_class_name": "type",
            "owned_by": "owner",
            "used_for": "env",
            "last_discovered": "lastSeenUtc",
        },
    ),
    "entra user to scim": Labelled(
        ENTRA_USER,
        "scim/user@1",
        {
            "id": "id",
            "displayName": "displayName",
            "givenName": "name.givenName",
            "surname": "name.familyName",
            "userPrincipalName": "userName",
            "mail": "emails[*].value",
            "mobilePhone": "phoneNumbers[*].value",
            "preferredLanguage": "preferredLanguage",
            "accountEnabled": "active",
            "jobTitle": "title",
        },
    ),
    "edr alert to alert": Labelled(
        EDR_ALERT,
        "isthmus/alert@1",
        {
            "alert_id": "id",
            "created_timestamp": "created_at",
            "title": "title",
            "description": "description",
            "severity_name": "severity",
            "state": "status",
        },
    ),
    "edr event to security event": Labelled(
        EDR_EVENT,
        "isthmus/security_event@1",
        {
            "EventUid": "id",
            "EventTime": "timestamp",
            "ComputerName": "source.hostname",
            "UserName": "source.user",
            "SourceIp": "source.ip",
            "SourcePort": "source.port",
            "DestIp": "destination.ip",
            "DestPort": "destination.port",
            "Severity": "event.severity",
        },
        ({"ComputerName": "web-01", "SourceIp": "10.0.0.1", "DestIp": "10.0.0.2"},),
    ),
    "github issue to case": Labelled(
        GITHUB_ISSUE,
        "isthmus/case@1",
        {
            "id": "id",
            "title": "title",
            "body": "description",
            "state": "status",
            "created_at": "created_at",
            "updated_at": "updated_at",
            "assignee.login": "assignee",
        },
    ),
    "okta user to scim": Labelled(
        OKTA_USER,
        "scim/user@1",
        {
            "id": "id",
            "created": "meta.created",
            "lastUpdated": "meta.lastModified",
            "profile.login": "userName",
            "profile.email": "emails[*].value",
            "profile.firstName": "name.givenName",
            "profile.lastName": "name.familyName",
            "profile.mobilePhone": "phoneNumbers[*].value",
            "profile.title": "title",
        },
    ),
    "jira issue to incident link": Labelled(
        JIRA_ISSUE,
        "isthmus/incident_link@1",
        {
            "key": "externalId",
            "self": "url",
            "fields.status.name": "status",
            "fields.priority.name": "priority",
            "fields.issuetype.name": "type",
        },
    ),
}


def found_for(case):
    """The pairs that are proposed, as paths."""
    found = suggest(case.source, schema_of(case.model), case.samples)
    return {pair.source.text: pair.target.text for pair in found.pairs}


def test_what_people_find_right_is_proposed():
    """
    Over all labelled pairs together: how many of the proposed ones are right, and how many of the right ones
    are proposed.
    """
    told = {name: (found_for(case), case.right) for name, case in LABELLED.items()}
    hits = sum(len(found.items() & right.items()) for found, right in told.values())
    proposed = sum(len(found) for found, _ in told.values())
    wanted = sum(len(right) for _, right in told.values())

    wrong = {
        name: (found.items() - right.items(), right.items() - found.items())
        for name, (found, right) in told.items()
    }
    assert hits / proposed >= LEAST_PRECISION, (hits, proposed, wrong)
    assert hits / wanted >= LEAST_RECALL, (hits, wanted, wrong)


@pytest.mark.parametrize("name", LABELLED)
def test_a_proposal_is_a_mapping(name):
    """
    It compiles as it is, so that it can be applied and mended.
    """
    case = LABELLED[name]
    found = proposals(suggest(case.source, schema_of(case.model), case.samples))

    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [one.field for one in found]})
    assert len(plan.lineage) == len(found)


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        (["lastSeenUtc"], ["last_discovered"], 0.9),
        (["hostname"], ["computer_name"], 0.9),
        (["priority"], ["severity"], 0.9),
        (["opened_at"], ["createdTime"], 0.9),
        (["tags"], ["Tag"], 1),
        (["desc"], ["description"], 0.9),
    ],
)
def test_names_that_mean_the_same_are_alike(one, other, least):
    """
    Case, separators, endings, abbreviations and other words for the same make little difference.
    """
    assert likeness(read_name(tuple(one)), read_name(tuple(other)))[0] >= least


@pytest.mark.parametrize(("one", "other"), [("created_at", "updated_at"), ("source_ip", "user_name")])
def test_names_that_mean_something_else_are_not(one, other):
    """
    What only sounds alike is not proposed.
    """
    assert likeness(read_name((one,)), read_name((other,)))[0] < 0.5


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        (["10.0.0.1", "192.168.7.1"], "ip"),
        (["2001:db8::1", "::1"], "ip"),
        (["00:1B:44:11:3A:B7"], "mac"),
        (["CVE-2024-3094", ""], "cve"),
        (["ada@example.org"], "email"),
        (["2026-01-31T12:00:00Z", "2026-01-31"], "time"),
        (["web-01", "10.0.0.1"], ""),
        ([True, False], "boolean"),
    ],
)
def test_samples_tell_what_a_field_holds(samples, kind):
    """
    Nearly all of them have to be of one kind.
    """
    assert kind_of_samples(samples) == kind


def test_values_tell_fields_apart_that_names_do_not():
    """
    Of two addresses of a user the one that looks like an e-mail goes into the field for e-mails.
    """
    target = fields(address={"type": "string", "format": "email"})
    samples = ({"home_address": "Main Street 1", "web_address": "ada@example.org"},)

    found = suggest(fields("home_address", "web_address"), target, samples)

    assert [pair.source.text for pair in found.pairs] == ["web_address"]


def test_words_are_translated_where_both_sides_list_them():
    """
    The table of the proposal has the target's spelling.
    """
    words = {"type": "string", "enum": ["Low", "High"]}
    target = fields(severity={"type": "string", "enum": ["low", "medium", "high"]})

    [one] = proposals(suggest(fields(severity=words), target))

    assert one.field == {"target": "severity", "source": "severity", "enum": {"Low": "low", "High": "high"}}


def test_lists_of_objects_become_items():
    """
    Fields of one list go into fields of one list.
    """
    source = fields(contacts={"type": "array", "items": fields("mail", "phone")})
    target = fields(people={"type": "array", "items": fields("email", "telephone")})

    [one] = proposals(suggest(source, target))

    assert (one.field["target"], one.field["items"]["source"]) == ("people", "contacts")
    assert {field["source"] for field in one.field["items"]["field_mappings"]} == {"mail", "phone"}


def test_required_fields_without_a_pair_are_named():
    """
    Somebody has to think of them; what has one value only is a constant.
    """
    target = fields("owner", kind={"const": "server"}) | {"required": ["owner", "kind"]}

    found = suggest(fields("colour"), target)

    assert [leaf.text for leaf in found.missing] == ["owner"]
    assert [one.field for one in proposals(found)] == [{"target": "kind", "constant": "server"}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from(["id", "name", "ip", "mail", "a.b", "", "x[0]", "größe", "created_at", "tags"])
schemas = st.recursive(
    st.sampled_from(
        [{"type": "string"}, {"type": ["integer", "null"]}, {}, True, {"enum": ["a", 1]}, {"const": 2}]
    ),
    lambda inner: (
        st.builds(lambda found: {"type": "object", "properties": found}, st.dictionaries(names, inner))
        | st.builds(lambda found: {"type": "array", "items": found}, inner)
        | st.builds(lambda found: {"anyOf": found}, st.lists(inner, max_size=2))
    ),
    max_leaves=8,
)


@given(source=schemas | json_values, target=schemas, sample=json_values)
def test_whatever_the_schemas_a_proposal_compiles(source, target, sample):
    """
    Odd names, contradictory types, samples that fit no schema: at worst there is nothing to propose.
    """
    source = source if isinstance(source, dict) else {}
    samples = [sample] if isinstance(sample, dict) else []
    target = target if isinstance(target, dict) else {}

    fields = [one.field for one in proposals(suggest(source, target, samples, 0.3))]

    if fields:
        compile_mapping(json.loads(json.dumps({"version": "isthmus/v1", "field_mappings": fields})))
