"""Directories over real HTTP, gRPC and PostgreSQL: what they provision, and what they never reach."""

import asyncio
import uuid

import grpc
import pytest
from isthmus.identity.v1 import access_pb2, quotas_pb2, quotas_pb2_grpc, scim_pb2, sessions_pb2, users_pb2
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.testing.waiting import waiting_for

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture(scope="module")
async def tenant(place):
    return await place.tenant()


@pytest.fixture(scope="module")
async def other(place):
    return await place.tenant()


def fresh(word="ann"):
    return f"{word}-{uuid.uuid4().hex[:10]}"


async def user(tenant, **more):
    body = {"schemas": [USER], "userName": fresh(), "active": True, **more}
    answer = await tenant.http.post("/Users", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def group(tenant, *members, **more):
    body = {
        "schemas": [GROUP],
        "displayName": fresh("team"),
        "members": [{"value": one} for one in members],
        **more,
    }
    answer = await tenant.http.post("/Groups", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def patch(tenant, path, *operations, **more):
    return tenant.http.patch(path, json={"schemas": [PATCH], "Operations": list(operations)}, **more)


async def until_refused(identity):
    """Ask who one is, again and again."""
    while True:
        await identity.GetCaller(pb.GetCallerRequest())
        await asyncio.sleep(0.05)


async def found(tenant, text, kind="Users", **more):
    answer = await tenant.http.get(f"/{kind}", params={"filter": text, **more})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["Resources"]]


async def test_another_tenants_directory_reaches_nothing(tenant, other):
    """
    Whatever the key of one tenant asks about what is another's, it is not there.
    """
    mine = await user(tenant)
    ours = await group(tenant, mine["id"])
    change = {"op": "replace", "path": "displayName", "value": "taken over"}
    before = (await tenant.http.get(f"/Groups/{ours['id']}")).json()

    answers = []
    for path in (f"/Users/{mine['id']}", f"/Groups/{ours['id']}"):
        answers += [
            await other.http.get(path),
            await patch(other, path, change),
            await other.http.delete(path),
        ]
        body = {"schemas": [USER, GROUP], "userName": fresh(), "displayName": "x"}
        body["schemas"] = [USER] if "Users" in path else [GROUP]
        answers.append(await other.http.put(path, json=body))
    member = {"schemas": [GROUP], "displayName": fresh(), "members": [{"value": mine["id"]}]}

    assert [one.status_code for one in answers] == [404] * 8
    assert await found(other, f'userName eq "{mine["userName"]}"') == []
    assert await found(other, f'members.value eq "{mine["id"]}"', "Groups") == []
    assert (await other.http.post("/Groups", json=member)).status_code == 400
    assert (await tenant.http.get(f"/Groups/{ours['id']}")).json() == before


async def test_a_directory_sees_only_what_it_has_made(tenant):
    """
    Users and groups that an administrator has made are not there for it, but their names are taken.
    """
    made = (await tenant.admin.users.CreateUser(users_pb2.CreateUserRequest(name=fresh("boss")))).user
    request = access_pb2.CreateGroupRequest(name=fresh("bosses"), roles=["tenant_admin"])
    bosses = (await tenant.admin.access.CreateGroup(request)).group
    mine = await user(tenant)

    taken = await tenant.http.post("/Users", json={"schemas": [USER], "userName": made.name.upper()})
    joined = await patch(
        tenant,
        f"/Groups/{bosses.group_id}",
        {"op": "add", "path": "members", "value": [{"value": mine["id"]}]},
    )

    assert (await tenant.http.get(f"/Users/{made.user_id}")).status_code == 404
    assert (taken.status_code, taken.json()["scimType"]) == (409, "uniqueness")
    assert joined.status_code == 404
    assert await found(tenant, f'userName eq "{made.name}"') == []


async def test_roles_come_from_the_administrator_and_members_from_the_directory(place, tenant):
    """
    The directory gives nobody a role; whoever it puts into a group has those that the administrator gave it.
    """
    jo = await user(tenant, roles=[{"value": "tenant_admin"}])
    team = await group(tenant, jo["id"], roles=["tenant_admin"])
    access = tenant.admin.access
    stored = (await access.GetGroup(access_pb2.GetGroupRequest(group_id=team["id"]))).group
    own = (await tenant.admin.users.GetUser(users_pb2.GetUserRequest(user_id=jo["id"]))).user
    request = access_pb2.UpdateGroupRequest(group_id=team["id"], roles=["auditor"])
    await access.UpdateGroup(request)
    replaced = {"schemas": [GROUP], "displayName": team["displayName"], "members": []}

    answer = await tenant.http.put(f"/Groups/{team['id']}", json=replaced)

    after = (await access.GetGroup(access_pb2.GetGroupRequest(group_id=team["id"]))).group
    assert list(stored.roles) == list(own.roles) == []
    assert "roles" not in jo
    assert answer.status_code == 200
    assert list(after.roles) == ["auditor"]


async def test_members_whom_no_directory_provisioned_stay(tenant):
    """
    What an administrator adds to a provisioned group is not the directory's to take away.
    """
    team = await group(tenant, (await user(tenant))["id"])
    local = (await tenant.admin.users.CreateUser(users_pb2.CreateUserRequest(name=fresh("local")))).user
    access = tenant.admin.access
    await access.AddGroupMembers(
        access_pb2.AddGroupMembersRequest(group_id=team["id"], user_ids=[local.user_id])
    )

    await patch(tenant, f"/Groups/{team['id']}", {"op": "remove", "path": "members"})

    left = await access.ListGroupMembers(access_pb2.ListGroupMembersRequest(group_id=team["id"]))
    assert [one.user_id for one in left.members] == [local.user_id]
    assert "members" not in (await tenant.http.get(f"/Groups/{team['id']}")).json()


@pytest.mark.parametrize("way", ["patch", "delete"])
async def test_the_sessions_of_a_user_who_leaves_end(place, tenant, way):
    """
    A user whom the directory makes inactive or deletes is out with all sessions.
    """
    leaver = await user(tenant)
    reset = users_pb2.ResetPasswordRequest(user_id=leaver["id"])
    first = (await tenant.admin.users.ResetPassword(reset)).password
    door = place.stubs(place.identity.channel(anonymous=True)).sessions
    request = sessions_pb2.LoginRequest(
        tenant_name=tenant.name,
        user_name=leaver["userName"],
        password=first,
        new_password="correct horse battery",
    )
    inside = await door.Login(request)
    own = place.stubs(place.identity.channel(api_key=inside.access_token)).identity
    assert (await own.GetCaller(pb.GetCallerRequest())).caller.subject == f"user:{leaver['id']}"

    if way == "patch":
        off = {"op": "replace", "path": "active", "value": False}
        assert (await patch(tenant, f"/Users/{leaver['id']}", off)).json()["active"] is False
    else:
        assert (await tenant.http.delete(f"/Users/{leaver['id']}")).status_code == 204

    async with waiting_for("the refusal"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await until_refused(own)
    with pytest.raises(grpc.aio.AioRpcError):
        await door.RefreshSession(sessions_pb2.RefreshSessionRequest(refresh_token=inside.refresh_token))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_who_calls_is_asked_of_the_service(place, tenant):
    """
    No key, a wrong one, one with a role that only reads, and one that may be used elsewhere only.
    """
    _, reader = await place.key(tenant.admin, "auditor")
    _, bound = await place.key(tenant.admin, allowed_networks=["192.0.2.0/24"])
    body = {"schemas": [USER], "userName": fresh()}

    unnamed = await place.http("").get("/Users", headers={"authorization": ""})
    wrong = await place.http("ist_nobody_" + "x" * 64).get("/Users")
    reading = place.http(reader)
    elsewhere = await place.http(bound).get("/Users")

    assert (unnamed.status_code, wrong.status_code, elsewhere.status_code) == (401, 401, 403)
    assert unnamed.headers["www-authenticate"] == "Bearer"
    assert unnamed.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert (await reading.get("/Users")).status_code == 200
    assert (await reading.post("/Users", json=body)).status_code == 403


async def test_filters_find_what_they_say(other):
    """
    Every operator, lists, extensions, times, negations and precedence, on real tables.
    """
    word = fresh()
    ann = await user(
        other,
        userName=f"{word}-ann",
        externalId=f"{word}-X1",
        title="Chief",
        name={"familyName": "Archer"},
        emails=[{"value": f"{word}@home.example", "type": "home"}, {"value": "a@b.example", "type": "work"}],
        **{ENTERPRISE: {"department": "Sales"}},
        schemas=[USER, ENTERPRISE],
    )
    bob = await user(other, userName=f"{word}-bob", name={"familyName": "Baker"}, active=False)
    team = await group(other, ann["id"])
    a, b = ann["id"], bob["id"]
    mine = f'userName sw "{word}"'
    expected = {
        f'userName eq "{word.upper()}-ANN"': [a],
        f'externalId eq "{word}-X1"': [a],
        f'externalId eq "{word}-x1"': [],
        f"{mine} and active eq true": [a],
        f"{mine} and title pr": [a],
        f'{mine} and not (title eq "Chief")': [b],
        f'{mine} and title ne "Chief"': [b],
        f'{mine} and name.familyName gt "az" and name.familyName le "baker"': [b],
        f'{mine} and (userName ew "bob" or name.familyName co "RCH")': [a, b],
        f'emails.value eq "{word}@home.example"': [a],
        f'emails[type eq "home" and value sw "{word}"]': [a],
        f'emails[type eq "work" and value sw "{word}"]': [],
        f'{mine} and emails[type eq "work"].value eq "A@B.example"': [a],
        f'{mine} and {ENTERPRISE}:department eq "sales"': [a],
        f'{mine} and meta.created gt "2015-10-10T14:38:21.8617979-07:00"': [a, b],
        f'{mine} and meta.lastModified lt "2015-10-10T14:38:21Z"': [],
        f'groups.value eq "{team["id"]}"': [a],
        f'id eq "{b}"': [b],
    }

    for text, ids in expected.items():
        assert await found(other, text) == ids, text
    assert await found(other, f'displayName eq "{team["displayName"].upper()}"', "Groups") == [team["id"]]
    assert await found(other, f'members[value eq "{a}"]', "Groups") == [team["id"]]
    order = {"sortBy": "name.familyName", "sortOrder": "descending"}
    assert await found(other, mine, **order) == [b, a]
    assert await found(other, mine, sortBy="emails.value") == [a, b]
    page = (await other.http.get("/Users", params={"filter": mine, "startIndex": 2, "count": 1})).json()
    assert (page["totalResults"], page["itemsPerPage"], page["startIndex"]) == (2, 1, 2)
    assert [one["id"] for one in page["Resources"]] == [b]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("userName eq", "invalidFilter"),
        ('nothing eq "x"', "invalidFilter"),
        ("userName eq ann", "invalidFilter"),
        ('active gt "x"', "invalidFilter"),
        ("userName eq 'x'; drop table users", "invalidFilter"),
        ('emails[nothing eq "x"]', "invalidFilter"),
        ('meta.created gt "yesterday"', "invalidFilter"),
    ],
)
async def test_a_filter_that_says_nothing_is_refused(tenant, text, kind):
    """
    Errors have the form and the kinds of the standard.
    """
    answer = await tenant.http.get("/Users", params={"filter": text})

    assert (answer.status_code, answer.json()["scimType"]) == (400, kind)
    assert answer.headers["content-type"] == "application/scim+json"


async def test_a_change_bound_to_a_version_fails_when_there_is_another(tenant):
    """
    `If-Match` and `If-None-Match` know weak etags; what changes nothing makes no new version.
    """
    ann = await user(tenant, title="One")
    path, first = f"/Users/{ann['id']}", ann["meta"]["version"]
    two = {"op": "replace", "path": "title", "value": "Two"}

    changed = await patch(tenant, path, two, headers={"if-match": first})
    late = await patch(tenant, path, {**two, "value": "Three"}, headers={"if-match": first})
    again = await patch(tenant, path, two)
    known = await tenant.http.get(path, headers={"if-none-match": changed.headers["etag"]})

    assert changed.headers["etag"] == changed.json()["meta"]["version"] != first
    assert (late.status_code, known.status_code) == (412, 304)
    assert again.headers["etag"] == changed.headers["etag"]
    assert (await tenant.http.delete(path, headers={"if-match": first})).status_code == 412


async def test_answers_have_the_attributes_that_were_asked_for(tenant):
    """
    `attributes` and `excludedAttributes` reach into parts and extensions; `id` and `schemas` always come.
    """
    ann = await user(
        tenant,
        schemas=[USER, ENTERPRISE],
        name={"givenName": "Ann", "familyName": "Archer"},
        emails=[{"value": "a@b.example", "type": "work"}],
        **{ENTERPRISE: {"department": "Sales", "division": "West"}},
    )
    wanted = f"name.givenName,emails.value,{ENTERPRISE}:division"

    picked = (await tenant.http.get(f"/Users/{ann['id']}", params={"attributes": wanted})).json()
    left = (await tenant.http.get(f"/Users/{ann['id']}", params={"excludedAttributes": wanted})).json()

    assert picked == {
        "schemas": ann["schemas"],
        "id": ann["id"],
        "name": {"givenName": "Ann"},
        "emails": [{"value": "a@b.example"}],
        ENTERPRISE: {"division": "West"},
    }
    assert (left["name"], left["emails"]) == ({"familyName": "Archer"}, [{"type": "work"}])
    assert left[ENTERPRISE] == {"department": "Sales"}


async def test_searches_come_by_post_as_well(tenant):
    """
    What a search says in its body means what it says in an address.
    """
    ann = await user(tenant)
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": f'userName eq "{ann["userName"]}"',
        "attributes": ["userName"],
        "count": 5,
    }

    answer = await tenant.http.post("/Users/.search", json=body)

    assert [one["userName"] for one in answer.json()["Resources"]] == [ann["userName"]]
    assert (await tenant.http.post("/Bulk", json={})).status_code == 501
    assert (await tenant.http.get("/Me")).status_code == 501


async def test_a_tenants_quota_of_users_holds_for_its_directory(place):
    """
    A directory makes no more users than an administrator could.
    """
    tenant = await place.tenant()
    quotas = quotas_pb2_grpc.QuotasServiceStub(place.identity.channel(mesh=True))
    limit = quotas_pb2.SetTenantQuotasRequest(tenant_id=tenant.tenant_id, quotas=quotas_pb2.Quotas(users=0))
    await quotas.SetTenantQuotas(limit)

    # What the service has remembered of the key may be a moment old.
    async with waiting_for("the limit"):
        while (answer := await tenant.http.post("/Users", json=named())).status_code == 201:
            await asyncio.sleep(0.2)

    assert answer.status_code == 429
    assert answer.headers["retry-after"]


def named():
    return {"schemas": [USER], "userName": fresh()}


async def test_rules_about_dialects_name_accounts_of_the_tenant(tenant, other):
    """
    The rule for an account comes before the one for everybody; another tenant's account is not there.
    """
    rules = (await other.admin.scim.GetScimDialects(scim_pb2.GetScimDialectsRequest())).rules
    theirs = scim_pb2.SetScimDialectRequest(service_account_id=rules[0].service_account_id)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tenant.admin.scim.SetScimDialect(theirs)

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert [one.dialect for one in rules] == [scim_pb2.SCIM_DIALECT_STRICT]
