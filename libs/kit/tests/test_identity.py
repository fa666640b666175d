import asyncio
import json
import time

import pytest
from isthmus.kit.authentication import Authenticator, KeyHolder
from isthmus.kit.principal import Principal
from isthmus.kit.tokens import Signer, TrustStore, new_key
from isthmus.resilience import faults
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

KEY = "ist_k1_" + "a" * 64
OWNER = Principal("usr_1", "tnt_a", frozenset({"*"}), "user")


@pytest.fixture
def private(tmp_path):
    private, entry = new_key("k1", "host:files", ["scheduling.*.*"])
    (tmp_path / "key.jwk").write_text(json.dumps(private))
    (tmp_path / "trust.json").write_text(json.dumps({"keys": [entry]}))
    return private


@pytest.fixture
def trust(tmp_path, private):
    return TrustStore(tmp_path / "trust.json")


def signed(private, header=None, **claims):
    now = int(time.time())
    body = {"iss": "k1", "sub": "host:files", "iat": now, "exp": now + 60, **claims}
    head = {"alg": "Ed25519", "kid": "k1", **(header or {})}
    return jwt.encode(head, body, OKPKey.import_key(private), algorithms=["Ed25519"])


def test_own_token_is_trusted(tmp_path, trust):
    """
    What a process signs with its key names it and its permissions.
    """
    principal = trust.verify(Signer(tmp_path / "key.jwk").token())

    assert principal == Principal("host:files", "", frozenset({"scheduling.*.*"}), "mesh")


def test_token_is_signed_once_per_lifetime(tmp_path, private):
    """
    Calls in a row share a token.
    """
    signer = Signer(tmp_path / "key.jwk")

    assert signer.token() == signer.token()


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 60, "iat": NOW - 120},
        {"exp": NOW + 86_400},
        {"iat": NOW + 3600, "exp": NOW + 3660},
        {"sub": "service:identity"},
        {"iss": "k2"},
        {"exp": "tomorrow"},
        {"exp": None},
    ],
    ids=["expired", "too long", "from the future", "other subject", "other key", "no number", "no end"],
)
def test_wrong_claims_are_refused(private, trust, claims):
    """
    A good signature is not enough.
    """
    with pytest.raises(faults.NotAuthenticated):
        trust.verify(signed(private, **claims))


def test_forgeries_are_refused(private, trust, tmp_path):
    """
    Tokens without signature, with a public key as secret, or of a stranger's key get nowhere.
    """
    public = json.loads((tmp_path / "trust.json").read_text())["keys"][0]
    stranger, _ = new_key("k1", "host:files", ["*"])
    claims = {"iss": "k1", "sub": "host:files", "iat": NOW, "exp": NOW + 60}
    hmac = jwt.encode({"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key(public["x"]))
    good = signed(private)
    forged = [
        signed(stranger),
        hmac,
        good[:-4] + "AAAA",
        "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.e30.",
        "a.b.c",
        "",
        ".",
    ]
    for token in forged:
        with pytest.raises(faults.NotAuthenticated):
            trust.verify(token)


def test_trust_file_is_followed(tmp_path, trust, private):
    """
    A key added later is trusted without a restart, and a half-written file takes no trust away.
    """
    other, entry = new_key("k2", "service:registry", ["*"])
    token = signed(private)
    trust.verify(token)
    (tmp_path / "trust.json").write_text('{"keys": [')
    still = trust.verify(token)
    (tmp_path / "trust.json").write_text(json.dumps({"keys": [entry]}))
    added = trust.verify(signed(other, {"kid": "k2"}, iss="k2", sub="service:registry"))

    assert (still.subject, added.subject) == ("host:files", "service:registry")
    with pytest.raises(faults.NotAuthenticated):
        trust.verify(token)


class Identity:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.holder = KeyHolder(OWNER)

    async def __call__(self, api_key):
        self.asked += 1
        await asyncio.sleep(0.01)
        return self.holder


async def test_key_is_looked_up_once_at_a_time():
    """
    Many calls with one key at the same moment cost one question.
    """
    identity = Identity()
    authenticator = Authenticator(lookup=identity)
    header = {"authorization": f"Bearer {KEY}"}
    principals = await asyncio.gather(*(authenticator.authenticate(header) for _ in range(50)))

    assert set(principals) == {OWNER}
    assert identity.asked == 1


async def test_only_so_many_credentials_are_verified_at_a_time():
    """
    A flood of guesses is refused before anybody is asked; what is known already goes on.
    """
    asked, answer = [], asyncio.Event()

    async def look_up(credential):
        asked.append(credential)
        if credential != KEY:
            await answer.wait()
        return KeyHolder(OWNER)

    authenticator = Authenticator(lookup=look_up)
    await authenticator.authenticate({"authorization": f"Bearer {KEY}"})
    guesses = [
        asyncio.create_task(authenticator.authenticate({"authorization": f"Bearer ist_{n}_{'x' * 64}"}))
        for n in range(500)
    ]
    await asyncio.wait(guesses, timeout=0)
    while sum(guess.done() for guess in guesses) < 300:
        await asyncio.sleep(0)
    known = await authenticator.authenticate({"authorization": f"Bearer {KEY}"})
    answer.set()
    answers = await asyncio.gather(*guesses, return_exceptions=True)

    assert known == OWNER
    assert len(asked) == 201
    assert {one.reason for one in answers if isinstance(one, faults.Fault)} == {"SERVICE_OVERLOADED"}


async def test_revoked_key_is_forgotten_within_seconds(monkeypatch):
    """
    The answer about a key is believed for five seconds.
    """
    identity = Identity()
    authenticator = Authenticator(lookup=identity)
    header = {"authorization": f"Bearer {KEY}"}
    await authenticator.authenticate(header)
    later = time.time() + 5.1
    monkeypatch.setattr("isthmus.kit.authentication.time.time", lambda: later)
    await authenticator.authenticate(header)

    assert identity.asked == 2


async def test_expired_key_is_refused_from_memory_too():
    """
    The remembered answer does not outlive the key.
    """
    identity = Identity()
    identity.holder = KeyHolder(OWNER, expires_at=time.time() - 1)

    with pytest.raises(faults.NotAuthenticated):
        await Authenticator(lookup=identity).authenticate({"authorization": f"Bearer {KEY}"})


async def test_unreachable_identity_is_not_a_wrong_key():
    """
    When nobody can be asked the caller hears that, and the next call asks again.
    """
    authenticator = Authenticator()
    calls = []

    async def down(api_key):
        calls.append(api_key)
        raise faults.RetryLater("IDENTITY_UNREACHABLE", "down")

    authenticator.use(down)
    for _ in range(2):
        with pytest.raises(faults.RetryLater):
            await authenticator.authenticate({"authorization": f"Bearer {KEY}"})

    assert len(calls) == 2


@pytest.mark.parametrize("tenant", ["", "a b", "x" * 65, "tnt_ü", "a.b", "*"])
async def test_odd_tenants_are_refused(private, trust, tenant):
    """
    A tenant is a plain word; it ends up in subjects and settings.
    """
    with pytest.raises(faults.NotAllowed):
        await Authenticator(trust).authenticate(
            {"authorization": f"Bearer {signed(private)}", "isthmus-tenant": tenant}
        )


async def test_token_bound_to_a_tenant_stays_there(private, trust):
    """
    A token with a tenant claim cannot act for another tenant.
    """
    token = signed(private, tid="tnt_a")
    own = await Authenticator(trust).authenticate({"authorization": f"Bearer {token}"})

    assert own.tenant_id == "tnt_a"
    with pytest.raises(faults.NotAllowed):
        await Authenticator(trust).authenticate(
            {"authorization": f"Bearer {token}", "isthmus-tenant": "tnt_b"}
        )


@pytest.mark.parametrize(
    ("patterns", "permission", "allowed"),
    [
        ({"*"}, "a.b.c", True),
        ({"a.*.read"}, "a.b.read", True),
        ({"a.*.read"}, "a.b.write", False),
        ({"a.*"}, "a.b.c", False),
        ({"*.*.*"}, "a.b.c", True),
        ({"a.b.c"}, "a.b.c", True),
        (set(), "a.b.c", False),
        ({"a.b"}, "a.b.c", False),
    ],
)
def test_permission_patterns(patterns, permission, allowed):
    """
    A star covers one part; alone it covers everything.
    """
    assert Principal("s", "t", frozenset(patterns), "user").may(permission) is allowed


async def test_only_who_may_hand_calls_on_is_believed_whom_for(tmp_path):
    """
    A process of the mesh with the permission vouches for an address; others are refused who try.
    """
    gateway, trusted = new_key("k1", "service:gateway", ["identity.callers.forward"])
    host, other = new_key("k2", "host:files", ["scheduling.*.*"])
    (tmp_path / "gateway.jwk").write_text(json.dumps(gateway))
    (tmp_path / "host.jwk").write_text(json.dumps(host))
    (tmp_path / "trust.json").write_text(json.dumps({"keys": [trusted, other]}))
    authenticator = Authenticator(TrustStore(tmp_path / "trust.json"))

    def forwarded(voucher):
        return authenticator.forwarded_for(
            {"isthmus-forwarded-for": "192.0.2.7", "isthmus-forwarded-by": voucher}
        )

    assert authenticator.forwarded_for({"isthmus-forwarded-for": "192.0.2.7"}) is None
    assert forwarded(Signer(tmp_path / "gateway.jwk").token()) == "192.0.2.7"
    for voucher in (Signer(tmp_path / "host.jwk").token(), KEY, "junk"):
        with pytest.raises(faults.NotAuthenticated):
            forwarded(voucher)
