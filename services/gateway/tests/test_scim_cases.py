"""What Microsoft Entra ID and Okta really send, one request after another, and what has to come of it."""

import json
import uuid

import pytest
from isthmus.testing.shared import SHARED, shared

CASES = SHARED / "contracts" / "scim"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
# Names that the collection gives to what its requests make, in the order in which it makes it.
MADE = {
    ("User tests", "/Users"): ["id1", "id2"],
    ("Group tests", "/Users"): ["id3", "id4"],
    ("Group tests", "/Groups"): ["groupid", "groupid2", "groupid3"],
    ("ComplexAttribute tests", "/Users"): ["id1", "id2"],
    ("User tests with garbage", "/Users"): [
        "1stuserid",
        "2nduserid",
        "3rduserid",
        "4thuserid",
        "enteruserid",
    ],
    ("Group tests with garbage", "/Groups"): ["1stgroupid"],
}
# The name whatever its case is RFC 7643, section 4.1.1, and what Okta's own list asks for.
STATUSES = {"Required Test: Username Case Sensitivity Check": 200}


def story(file):
    """Read cases that build on one another; without them the test is skipped."""
    return json.loads(shared("contracts", "scim", file).read_text())


def cases(file):
    """Read a list of cases; where there is none its only case is skipped."""
    path = CASES / file
    if not path.is_file():
        reason = f"the request cases are not at {CASES}; set ISTHMUS_SHARED"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    found = json.loads(path.read_text())
    found = found["cases"] if isinstance(found, dict) else found
    return [pytest.param(one, id=f"{number:02}") for number, one in enumerate(found)]


class Story:
    """A tenant to which requests come one after another, and what they have made so far."""

    def __init__(self, tenant, **words):
        self.tenant = tenant
        self.words = words
        self.made = {group: list(names) for group, names in MADE.items()}

    def filled(self, text):
        for name, value in self.words.items():
            text = text.replace("{{" + name + "}}", value)
        return text.replace("${__UUID}", str(uuid.uuid4()))

    async def send(self, case):
        body = case.get("body")
        content = None
        if isinstance(body, dict):
            content = body["_raw"] if "_raw" in body else self.filled(json.dumps(body))
        answer = await self.tenant.http.request(
            case["method"],
            self.filled(case["path"]),
            content=content,
            headers={"content-type": "application/scim+json"},
        )
        names = self.made.get((case.get("group"), case["path"]), [])
        if case["method"] == "POST" and answer.status_code == 201 and names:
            self.words[names.pop(0)] = answer.json()["id"]
        return answer


@pytest.fixture(scope="module")
async def entra(place):
    return Story(await place.tenant("entra"))


@pytest.fixture(scope="module")
async def okta(place):
    email = f"{uuid.uuid4().hex[:10]}@okta.example"
    return Story(
        await place.tenant("okta"),
        randomUsername=email,
        randomUsernameCaps=email.upper(),
        randomEmail=email,
        randomGivenName="Ann",
        randomFamilyName="Archer",
        InvalidUserEmail="nobody@okta.example",
        UserIdThatDoesNotExist="usr_nobody",
    )


async def test_what_the_reference_client_of_entra_sends(entra):
    """
    Each request, one after another, is answered as Microsoft's collection expects it.
    """
    for case in listed(story("cases-microsoft.json")):
        if case["path"] == "/Token":
            continue  # the reference server's own; keys are made by `isthmus scim token`

        answer = await entra.send(case)

        assert answer.status_code in case.get("expect_status", [200, 204]), (case["name"], answer.text)


async def test_what_oktas_test_suite_sends(okta):
    """
    Each request, one after another, is answered as Okta's list of assertions expects it, but for how fast.
    """
    for case in listed(story("cases-okta.json")):
        if case["path"] == '/Users?filter=userName eq "{{randomEmail}}"':
            # A name that nobody has here: the suite makes up another one for this request.
            case["path"] = '/Users?filter=userName eq "nobody-else@okta.example"'

        answer = await okta.send(case)

        for name, path in case.get("captures", {}).items():
            okta.words[name] = valued(answer.json(), path)
        for line in case["expect"]:
            check(okta.filled(line), case["name"], answer)


def listed(found):
    return found["cases"] if isinstance(found, dict) else found


def check(line, name, answer):
    """Hold an answer against one line of Okta's assertions."""
    what, rest = line.split(" ", 1)
    if what == "response_time":
        return
    if what == "response_status":
        assert answer.status_code == STATUSES.get(name, int(rest.split()[-1])), answer.text
        return
    path, test, *wanted = rest.split(" ", 2)
    value = valued(answer.json(), path)
    if test == "not_empty":
        assert value not in (None, "", [], {}), line
    elif test == "is_a_number":
        assert isinstance(value, int), line
    elif test in {"contains", "has_value"}:
        assert wanted[0] in value, line
    else:
        assert str(value).lower() == wanted[0].lower(), line


def valued(document, path):
    """Follow a path such as `Resources[0].name.givenName`."""
    for part in path.replace("[", ".").replace("]", "").split("."):
        document = document[int(part)] if part.isdigit() else document[part]
    return document


@pytest.fixture
async def adele(entra):
    return await made(entra.tenant)


async def made(tenant, **more):
    body = {
        "schemas": [USER],
        "userName": f"adele-{uuid.uuid4().hex[:8]}@contoso.example",
        "emails": [{"type": "work", "value": "a@contoso.example", "primary": True}],
        **more,
    }
    answer = await tenant.http.post("/Users", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


EFFECTS = {
    "disable user, default": lambda user: user["active"] is False,
    "disable user, flag": lambda user: user["active"] is False,
    "replace work e-mail": lambda user: [one["value"] for one in user["emails"]] == ["n@contoso.example"],
    "add value to a typed entry that does not exist yet": lambda user: (
        {"type": "home", "value": "h@contoso.example"} in user["emails"]
    ),
    "replace value of a typed entry that does not exist yet": lambda user: (
        user["phoneNumbers"] == [{"type": "mobile", "value": "+14255550109"}]
    ),
    "several attributes, flag (no path, dotted keys)": lambda user: (
        (
            user["displayName"],
            user["name"],
            user[ENTERPRISE],
        )
        == ("Bjfe", {"givenName": "Kkom"}, {"employeeNumber": "Aklq"})
    ),
    "manager as a bare string": lambda user: user[ENTERPRISE]["manager"]["value"] == user["id"],
    "add member ($ref null)": lambda group: len(group["members"]) == 2,
    "remove member, default (value beside path)": lambda group: len(group["members"]) == 1,
    "remove member, flag": lambda group: len(group["members"]) == 1,
}
# What of it the strict server refuses; the rest is within the standard.
REFUSED = {
    "disable user, default",
    "replace work e-mail",
    "add value to a typed entry that does not exist yet",
    "replace value of a typed entry that does not exist yet",
    "several attributes, flag (no path, dotted keys)",
    "manager as a bare string",
    "add member ($ref null)",
    "remove member, default (value beside path)",
    "create group with the extra ADSCIM schema URN",
}


async def told(tenant, case):
    """Send one of Entra's shapes about a user or a group; give the answer and the path of either."""
    ann, bob = await made(tenant), await made(tenant)
    if "Operations" not in case:
        body = json.loads((CASES / "samples" / case["body"]).read_text())
        return await tenant.http.post("/Groups", json={**body, "displayName": uuid.uuid4().hex}), ""
    path, leaving = f"/Users/{ann['id']}", ann["id"]
    if case.get("target") == "Group":
        members = [{"value": one["id"]} for one in ([bob] if case["name"].startswith("add") else [ann, bob])]
        body = {"schemas": [GROUP], "displayName": uuid.uuid4().hex, "members": members}
        path = f"/Groups/{(await tenant.http.post('/Groups', json=body)).json()['id']}"
    operations = json.loads(
        json.dumps(case["Operations"]).replace("<user id>", leaving).replace("<id of the manager>", ann["id"])
    )
    return await tenant.http.patch(path, json={"schemas": [PATCH], "Operations": operations}), path


@pytest.mark.parametrize("case", cases("samples/entra-patches.json"))
async def test_what_entra_sends_has_its_effect(entra, case):
    """
    Each of Entra's own shapes does what Entra means by it, and no more.
    """
    answer, path = await told(entra.tenant, case)

    assert answer.status_code in {201, 204}, answer.text
    if path:
        assert EFFECTS[case["name"]]((await entra.tenant.http.get(path)).json())


@pytest.fixture(scope="module")
async def strict(place):
    return await place.tenant("strict")


@pytest.mark.parametrize("case", cases("samples/entra-patches.json"))
async def test_the_strict_server_refuses_what_the_standard_does_not_allow(strict, case):
    """
    The same shapes without tolerance: refused whole, or within the standard.
    """
    answer, path = await told(strict, case)
    is_refused = case["name"] in REFUSED

    assert (answer.status_code == 400) is is_refused, answer.text
    if path and "value beside" in case["name"]:
        assert len((await strict.http.get(path)).json()["members"]) == 2


async def test_samples_of_entra_make_users(entra):
    """
    The user of Entra's documentation arrives whole.
    """
    body = json.loads(shared("contracts", "scim", "samples", "entra-create-user.json").read_text())

    answer = await entra.tenant.http.post("/Users", json=body)

    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in ("userName", "externalId", "emails", "name", "active")} == {
        name: body[name] for name in ("userName", "externalId", "emails", "name", "active")
    }
