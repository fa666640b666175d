"""Logins on machines without a browser, over real gRPC, PostgreSQL and vault."""

import asyncio
import base64
import hashlib
import json
from urllib.parse import parse_qs

import pytest
from isthmus.identity.v1 import devices_pb2 as pb
from isthmus.identity.v1 import devices_pb2_grpc as pb_grpc
from isthmus.resilience.faults import LimitReached, Missing, NotAllowed, NotAuthenticated, Precondition
from isthmus.testing.waiting import waiting_for

from .conftest import fault_of
from .test_oidc import House, Issuer
from .test_users import People


class Machine:
    """A machine without a browser."""

    def __init__(self, callers):
        self.callers = callers
        self.door = pb_grpc.DeviceLoginServiceStub(callers.service.channel(anonymous=True))

    async def begin(self, **more):
        return await self.door.BeginDeviceLogin(pb.BeginDeviceLoginRequest(client_name="build-7", **more))

    def poll(self, begun):
        return self.door.PollDeviceLogin(pb.PollDeviceLoginRequest(device_code=begun.device_code))

    def complete(self, begun):
        return self.door.CompleteDeviceLogin(pb.CompleteDeviceLoginRequest(device_code=begun.device_code))

    def seen_by(self, token):
        return pb_grpc.DeviceLoginServiceStub(self.callers.service.channel(api_key=token))

    async def decide(self, token, begun, *, is_approved):
        request = pb.DecideDeviceLoginRequest(user_code=begun.user_code.lower(), is_approved=is_approved)
        return (await self.seen_by(token).DecideDeviceLogin(request)).device_login


@pytest.fixture
def machine(callers):
    return Machine(callers)


@pytest.fixture
def people(callers, tenant):
    return People(callers, tenant)


async def test_a_confirmed_code_lets_a_machine_in_once(machine, people):
    """
    The machine is in as who has confirmed, in a session of its own, and the code is worth nothing afterwards.
    """
    user = await people.create("auditor")
    token = (await people.login(user)).access_token
    begun = await machine.begin()
    waiting = await machine.poll(begun)
    early = await fault_of(machine.complete(begun))
    shown = await machine.decide(token, begun, is_approved=True)
    done = await machine.complete(begun)
    caller = (await people.me(done.access_token)).caller

    assert (waiting.is_confirmed, shown.client_name) == (False, "build-7")
    assert (type(early), early.reason) == (NotAuthenticated, "LOGIN_REFUSED")
    assert (done.user_name, list(done.session.methods)) == (user.name, ["pwd", "device"])
    assert caller.subject == f"user:{user.user_id}"
    assert (await people.refresh(done.refresh_token)).access_token
    assert (await fault_of(machine.complete(begun))).reason == "LOGIN_REFUSED"
    assert (await fault_of(machine.decide(token, begun, is_approved=True))).reason == "DEVICE_LOGIN_UNKNOWN"


async def test_a_denied_or_old_code_lets_nobody_in(machine, people, database):
    """
    The machine is told which of the two it is.
    """
    token = (await people.login(await people.create())).access_token
    denied, old = await machine.begin(), await machine.begin()
    await machine.decide(token, denied, is_approved=False)
    said = await fault_of(machine.poll(denied))
    sql = "update device_logins set expire_time = now() where state = 'waiting'"
    database.execute(sql)
    late = await fault_of(machine.poll(old))

    assert (type(said), said.reason) == (NotAllowed, "DEVICE_LOGIN_DENIED")
    assert (type(late), late.reason) == (Precondition, "DEVICE_LOGIN_EXPIRED")
    assert (await fault_of(machine.decide(token, old, is_approved=True))).reason == "DEVICE_LOGIN_UNKNOWN"


async def test_who_asks_too_often_has_to_wait_longer(machine, database):
    """
    As RFC 8628 wants it: five seconds more each time.
    """
    begun = await machine.begin()
    await machine.poll(begun)
    database.execute("update device_logins set poll_time = now() + interval '1 hour'")
    first, second = await fault_of(machine.poll(begun)), await fault_of(machine.poll(begun))

    assert (type(first), first.reason) == (LimitReached, "SLOW_DOWN")
    assert (first.retry_after, second.retry_after) == (10, 15)


async def test_codes_are_not_guessed(machine, people):
    """
    Only who has logged in may try, and not often; a key lets no machine in.
    """
    token = (await people.login(await people.create())).access_token
    stub = machine.seen_by(token)
    wrong = [
        await fault_of(stub.GetDeviceLogin(pb.GetDeviceLoginRequest(user_code="BCDF-GHJK"))) for _ in "12345"
    ]
    locked = await fault_of(machine.decide(token, await machine.begin(), is_approved=True))
    by_key = await fault_of(machine.decide(people.tenant.api_key, await machine.begin(), is_approved=True))

    assert {(type(fault), fault.reason) for fault in wrong} == {(Missing, "DEVICE_LOGIN_UNKNOWN")}
    assert (type(locked), locked.reason) == (LimitReached, "LOGIN_LOCKED")
    assert by_key.reason == "NOT_IN_SESSION"


class Vouching(Issuer):
    """A provider that takes its grants seriously: device codes, and codes with their verifier."""

    def __init__(self):
        super().__init__()
        self.answers = []
        self.challenge = self.nonce = ""
        issuer, plain = self, self.server.RequestHandlerClass

        class Answers(plain):
            def do_POST(self):
                length = int(self.headers["content-length"])
                form = {name: one[0] for name, one in parse_qs(self.rfile.read(length).decode()).items()}
                status, body = issuer.answer(self.path, form)

                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

        self.server.RequestHandlerClass = Answers

    def document(self, path):
        found = super().document(path)
        return found if path == "/jwks" else {**found, "device_authorization_endpoint": f"{self.url}/device"}

    def answer(self, path, form):
        if path == "/device":
            page = f"{self.url}/enter"
            return 200, {"device_code": "d", "user_code": "AB-CD", "verification_uri": page, "interval": 1}
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != self.challenge:
                return 400, {"error": "invalid_grant"}
        error = self.answers.pop(0) if self.answers else ""
        nonce = {"nonce": self.nonce} if self.nonce else {}
        token = self.token(aud="isthmus", sub="ann", email="ann@example.com", **nonce)
        return (400, {"error": error}) if error else (200, {"id_token": token})


@pytest.fixture
def vouching():
    found = Vouching()
    yield found
    found.server.shutdown()
    found.server.server_close()


async def ask_on(machine, begun):
    """Ask until it is decided, as slowly as told."""
    async with waiting_for("the confirmation"):
        while not (polled := await machine.poll(begun)).is_confirmed:
            await asyncio.sleep(polled.poll_interval.seconds + 0.1)


async def test_a_provider_lets_a_machine_in(machine, callers, tenant, vouching):
    """
    The provider's code is shown; its answers are waited for, and its word gives the roles.
    """
    house = House(callers, tenant)
    await house.knows(vouching.url)
    vouching.answers = ["authorization_pending"]
    begun = await machine.begin(tenant_name=tenant.name, provider_name="corp")
    await ask_on(machine, begun)
    done = await machine.complete(begun)

    assert (begun.user_code, begun.verification_uri) == ("AB-CD", f"{vouching.url}/enter")
    assert done.user_name == "ann@example.com"
    assert "registry.*.read" in (await house.people.me(done.access_token)).caller.permissions


@pytest.mark.parametrize(
    ("error", "reason"),
    [("access_denied", "DEVICE_LOGIN_DENIED"), ("expired_token", "DEVICE_LOGIN_EXPIRED"),
     ("invalid_grant", "LOGIN_REFUSED")],
)  # fmt: skip
async def test_what_a_provider_refuses_is_over(machine, callers, tenant, vouching, error, reason):
    """
    It is told why, and nothing is left to ask about.
    """
    await House(callers, tenant).knows(vouching.url)
    vouching.answers = [error]
    begun = await machine.begin(tenant_name=tenant.name, provider_name="corp")

    assert (await fault_of(machine.poll(begun))).reason == reason
    assert (await fault_of(machine.poll(begun))).reason == "LOGIN_REFUSED"


async def test_a_code_is_redeemed_with_its_verifier_only(callers, tenant, vouching):
    """
    A provider that checks PKCE takes our code for our challenge, and for no other.
    """
    house = House(callers, tenant)
    await house.knows(vouching.url)

    async def come_back(challenge=""):
        begun = await house.begin()
        asked = {name: one[0] for name, one in parse_qs(begun.authorization_url.partition("?")[2]).items()}
        vouching.challenge, vouching.nonce = challenge or asked["code_challenge"], asked["nonce"]
        assert asked["code_challenge_method"] == "S256"
        return house.complete({"state": begun.login_state, "code": "c"})

    assert (await (await come_back())).user_name == "ann@example.com"
    assert (await fault_of(await come_back("another"))).reason == "LOGIN_REFUSED"


async def test_providers_are_asked_where_the_operator_allows(callers, tenant):
    """
    The address of a cloud's metadata, or one that is none, is refused when it is configured.
    """
    house = House(callers, tenant)
    inside = await fault_of(house.knows("https://169.254.169.254"))
    odd = await fault_of(house.knows("https://10.0.0.1:99999"))

    assert [one.violations[0].path for one in (inside, odd)] == ["provider.issuer"] * 2
    assert inside.violations[0].reason == "EGRESS_DENIED"
