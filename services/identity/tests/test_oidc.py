"""Logins by a real OpenID Connect provider, and access tokens of one whose keys rotate."""

import asyncio
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import providers_pb2, providers_pb2_grpc, scim_pb2, scim_pb2_grpc, users_pb2
from isthmus.local.backends.ports import free_port
from isthmus.resilience.faults import (
    AlreadyExists,
    FixRequest,
    NotAllowed,
    NotAuthenticated,
    RetryLater,
)
from isthmus.testing.waiting import waiting_for
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from .conftest import fault_of
from .test_users import People

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BACK = "http://127.0.0.1:4711/back"
MAPPINGS = [providers_pb2.RoleMapping(value="audit", roles=["auditor"])]


@pytest.fixture(scope="module")
def vouching():
    """A provider from the package index, with users who are in groups."""
    oidc_provider_mock = pytest.importorskip("oidc_provider_mock")
    users = [
        oidc_provider_mock.User(sub="ann", claims={"email": "ann@example.com", "groups": ["audit", "x"]}),
        oidc_provider_mock.User(sub="ben", claims={"email": "ben@example.com"}),
        oidc_provider_mock.User(sub="nameless", claims={}),
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=users, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


class House:
    """A tenant that knows a provider, and browsers that go there."""

    def __init__(self, callers, tenant):
        self.people = People(callers, tenant)
        self.tenant = tenant
        self.admin = providers_pb2_grpc.ProvidersServiceStub(callers.service.channel(api_key=tenant.api_key))
        self.door = providers_pb2_grpc.ProvidersServiceStub(callers.service.channel(anonymous=True))

    async def knows(self, issuer, secret="s3cret-of-the-client", **more):
        values = {"name": "corp", "client_id": "isthmus", "scopes": ["email"], "role_claim": "groups", **more}
        provider = providers_pb2.Provider(issuer=issuer, role_mappings=MAPPINGS, **values)
        request = providers_pb2.CreateProviderRequest(provider=provider, client_secret=secret)
        return (await self.admin.CreateProvider(request)).provider

    def begin(self, provider="corp", back=BACK):
        request = providers_pb2.BeginLoginRequest(
            tenant_name=self.tenant.name, provider_name=provider, redirect_uri=back
        )
        return self.door.BeginLogin(request)

    async def browse(self, sub):
        """Go to the provider as a browser, and return what it sends back."""
        begun = await self.begin()
        async with httpx.AsyncClient() as browser:
            reply = await browser.post(begun.authorization_url, data={"sub": sub})
        came = {name: one[0] for name, one in parse_qs(urlsplit(reply.headers["location"]).query).items()}
        assert came["state"] == begun.login_state
        return came

    def complete(self, came, **more):
        request = providers_pb2.CompleteLoginRequest(login_state=came["state"], code=came["code"], **more)
        return self.door.CompleteLogin(request)


@pytest.fixture
def house(callers, tenant):
    return House(callers, tenant)


async def test_who_logs_in_elsewhere_is_in_here_with_mapped_roles(house, vouching):
    """
    The first login makes the user, the second finds it; groups become roles.
    """
    await house.knows(vouching)
    first = await house.complete(await house.browse("ann"))
    second = await house.complete(await house.browse("ann"))
    caller = (await house.people.me(second.access_token)).caller

    assert first.user_name == second.user_name == "ann@example.com"
    assert first.session.user_id == second.session.user_id
    assert list(second.session.methods) == ["oidc"]
    assert "registry.*.read" in caller.permissions
    assert (await house.people.refresh(second.refresh_token)).access_token


async def test_whom_a_directory_has_announced_comes_in_as_that_user(house, vouching):
    """
    A provisioned user is known by the id that the provider gives, not by name, and stays out when disabled.
    """
    await house.knows(vouching)
    directory = scim_pb2_grpc.ScimServiceStub(
        house.people.callers.service.channel(api_key=house.tenant.api_key)
    )
    ann, ben = [await provisioned(directory, sub, f"{sub}-here") for sub in ("ann", "ben")]
    off = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    await directory.PatchScimResource(
        scim_pb2.PatchScimResourceRequest(
            resource_type=scim_pb2.SCIM_RESOURCE_TYPE_USER, resource_id=ben, document=json.dumps(off).encode()
        )
    )

    first = await house.complete(await house.browse("ann"))
    second = await house.complete(await house.browse("ann"))
    refused = await fault_of(house.complete(await house.browse("ben")))

    assert (first.user_name, first.session.user_id, second.session.user_id) == ("ann-here", ann, ann)
    assert (type(refused), refused.reason) == (NotAuthenticated, "LOGIN_REFUSED")


async def provisioned(directory, external_id, name):
    """Have a directory make a user; return the id."""
    document = {"schemas": [USER], "userName": name, "externalId": external_id}
    request = scim_pb2.CreateScimResourceRequest(
        resource_type=scim_pb2.SCIM_RESOURCE_TYPE_USER, document=json.dumps(document).encode()
    )
    return (await directory.CreateScimResource(request)).resource.resource_id


async def test_who_has_no_group_has_no_role(house, vouching):
    """
    Somebody whom the provider knows and the mapping does not is in, and may do nothing.
    """
    await house.knows(vouching)
    answer = await house.complete(await house.browse("ben"))

    assert list((await house.people.me(answer.access_token)).caller.permissions) == []


async def test_a_login_is_completed_once_by_the_right_words(house, vouching):
    """
    A second use, an unknown state, a wrong code and another issuer open nothing.
    """
    await house.knows(vouching)
    came = await house.browse("ann")
    await house.complete(came)
    tried = [
        house.complete(came),
        house.complete({"state": "unknown", "code": came["code"]}),
        house.complete({**await house.browse("ann"), "code": "wrong"}),
        house.complete(await house.browse("ann"), issuer="https://evil.example"),
        house.complete(await house.browse("nameless")),
    ]

    faults = [await fault_of(call) for call in tried]

    assert {(type(fault), fault.reason) for fault in faults} == {(NotAuthenticated, "LOGIN_REFUSED")}


async def test_nobody_takes_a_local_user_over_by_a_claim(house, vouching):
    """
    A name that somebody has here is not given to who claims it elsewhere.
    """
    await house.people.users.CreateUser(users_pb2.CreateUserRequest(name="ann@example.com"))
    await house.knows(vouching)

    assert (await fault_of(house.complete(await house.browse("ann")))).reason == "LOGIN_REFUSED"


async def test_browsers_come_back_where_they_may(house, vouching):
    """
    Back to the user's own machine, or exactly where the configuration says; unknown providers answer alike.
    """
    await house.knows(vouching, redirect_uris=["https://mesh.example/back"])
    wrong = [await fault_of(house.begin(back=back)) for back in ("https://evil.example", "http://10.0.0.1/")]

    assert {type(fault) for fault in wrong} == {FixRequest}
    assert (await house.begin(back="https://mesh.example/back")).authorization_url.startswith(vouching)
    assert (await fault_of(house.begin("nobody"))).reason == "LOGIN_REFUSED"


async def test_a_provider_that_is_none_is_told(house):
    """
    Nobody waits for a provider that does not answer.
    """
    await house.knows(f"http://127.0.0.1:{free_port()}")
    fault = await fault_of(house.begin())

    assert (type(fault), fault.reason) == (RetryLater, "PROVIDER_UNREACHABLE")


async def test_nobody_gives_by_a_mapping_what_he_does_not_have(house, callers):
    """
    A mapping is a grant.
    """
    token = (await house.people.login(await house.people.create("security_admin"))).access_token
    house.admin = providers_pb2_grpc.ProvidersServiceStub(callers.service.channel(api_key=token))
    mappings = [providers_pb2.RoleMapping(value="x", roles=["tenant_admin"])]
    provider = providers_pb2.Provider(
        name="corp", issuer="https://idp.example", client_id="c", role_mappings=mappings
    )
    fault = await fault_of(house.admin.CreateProvider(providers_pb2.CreateProviderRequest(provider=provider)))

    assert (type(fault), fault.reason) == (NotAllowed, "ROLE_EXCEEDS_CALLER")


async def test_a_browser_elsewhere_lets_in_where_the_login_was_begun(house, vouching, callers):
    """
    What came back to the gateway is completed by who began and reads the code in the browser, in one attempt.
    """
    await house.knows(vouching)
    stub = providers_pb2_grpc.ProvidersServiceStub(
        callers.service.channel("", ("identity.logins.arrive",), mesh=True)
    )

    async def arrive(came, where=BACK):
        request = providers_pb2.ArriveLoginRequest(
            login_state=came["state"], code=came["code"], redirect_uri=where
        )
        return (await stub.ArriveLogin(request)).shown_code

    came, guessed = await house.browse("ann"), await house.browse("ann")
    astray = await fault_of(arrive(came, "http://127.0.0.1:1/other"))
    shown = await arrive(came)
    twice = await fault_of(arrive(came))
    await arrive(guessed)

    assert [one.reason for one in (astray, twice)] == ["LOGIN_REFUSED"] * 2
    assert (await house.complete({**came, "code": shown.lower()})).user_name == "ann@example.com"
    assert (await fault_of(house.complete({**guessed, "code": "BCDF-GHJK"}))).reason == "LOGIN_REFUSED"
    assert (await fault_of(house.complete({**guessed, "code": shown}))).reason == "LOGIN_REFUSED"


class Issuer:
    """Signs access tokens of programs, publishes its keys, and changes them."""

    def __init__(self):
        self.asked = 0
        self.rotate()
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += self.path == "/jwks"
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rotate(self):
        self.key = ECKey.generate_key("P-256", {"kid": uuid.uuid4().hex})

    def document(self, path):
        if path == "/jwks":
            return {"keys": [self.key.as_dict(private=False)]}
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        ends = ("authorize", "token", "jwks")
        return {"issuer": self.url, **{n: f"{self.url}/{e}" for n, e in zip(names, ends, strict=True)}}

    def token(self, key=None, alg="ES256", **claims):
        key = key or self.key
        body = {
            "iss": self.url,
            "aud": "mesh",
            "sub": "robot",
            "exp": int(time.time()) + 60,
            "groups": ["audit"],
        }
        return jwt.encode({"alg": alg, "kid": self.key.kid}, {**body, **claims}, key, algorithms=[alg])


@pytest.fixture
def issuer():
    found = Issuer()
    yield found
    found.server.shutdown()
    found.server.server_close()


async def test_a_program_calls_with_its_providers_token(house, issuer):
    """
    Issuer and audience tell the tenant, claims give the roles; keys are asked for once.
    """
    provider = await house.knows(issuer.url, audience="mesh")
    callers = [(await house.people.me(issuer.token())).caller for _ in range(3)]

    assert callers[0].tenant_id == house.tenant.tenant_id
    assert callers[0].subject == f"external:{provider.provider_id}:robot"
    assert callers[0].kind == pb.Caller.KIND_SERVICE_ACCOUNT
    assert "registry.*.read" in callers[0].permissions
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "claims",
    [{"aud": "other"}, {"exp": 1}, {"exp": "soon"}, {"nbf": 4e9}, {"iss": "https://else.example"},
     {"sub": ""}, {"nonce": "of an ID token"}],
    ids=["audience", "expired", "no number", "not yet", "issuer", "nobody", "an ID token"],
)  # fmt: skip
async def test_tokens_with_wrong_claims_are_refused(house, issuer, claims):
    """
    A good signature is not enough.
    """
    await house.knows(issuer.url, audience="mesh")

    assert (await fault_of(house.people.me(issuer.token(**claims)))).reason == "CALLER_UNKNOWN"


async def test_forged_tokens_are_refused(house, issuer):
    """
    A stranger's key, and the public key as a shared secret, sign nothing.
    """
    await house.knows(issuer.url, audience="mesh")
    shared = OctKey.import_key(json.dumps(issuer.key.as_dict(private=False)).encode())
    forged = [issuer.token(ECKey.generate_key("P-256")), issuer.token(shared, "HS256")]

    assert {(await fault_of(house.people.me(one))).reason for one in forged} == {"CALLER_UNKNOWN"}


async def test_keys_of_providers_rotate(house, issuer, monkeypatch):
    """
    A key that is not known yet is asked for; an unknown one is not asked for again and again.
    """
    monkeypatch.setattr("isthmus.services.identity.oidc.issuers._KEYS_AGAIN", 0.5)
    await house.knows(issuer.url, audience="mesh")
    await house.people.me(issuer.token())
    issuer.rotate()
    async with waiting_for("the new key"):
        while True:
            try:
                await house.people.me(issuer.token())
                break
            except Exception:
                await asyncio.sleep(0.1)

    assert issuer.asked >= 2


async def test_an_audience_belongs_to_one_tenant(house, other, callers, issuer):
    """
    No other tenant takes tokens that are somebody's already; a disabled provider opens nothing.
    """
    provider = await house.knows(issuer.url, audience="mesh")
    fault = await fault_of(House(callers, other).knows(issuer.url, audience="mesh"))
    provider.is_disabled = True
    request = providers_pb2.UpdateProviderRequest(provider_id=provider.provider_id, provider=provider)
    await house.admin.UpdateProvider(request)

    assert (type(fault), fault.reason) == (AlreadyExists, "AUDIENCE_TAKEN")
    assert (await fault_of(house.people.me(issuer.token()))).reason == "CALLER_UNKNOWN"
