"""Browsers that come back: small pages, strict headers, and what the services are told."""

import httpx
import pytest
from isthmus.credentials.v1 import authorization_pb2, authorization_pb2_grpc
from isthmus.identity.v1 import providers_pb2, providers_pb2_grpc, sessions_pb2, sessions_pb2_grpc
from isthmus.kit.errors import answer_of
from isthmus.local.backends.ports import free_port
from isthmus.resilience.faults import NotAllowed, Precondition, RetryLater
from isthmus.services.gateway.http.proxies import FORWARDED, X_FORWARDED_FOR, TrustedProxies, networks_of


class Credentials(authorization_pb2_grpc.AuthorizationServiceServicer):
    """Finishes what it knows, once."""

    def __init__(self):
        self.asked = []
        self.metadata = {}
        self.fault = None

    async def FinishAuthorization(self, request, context):
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        if self.fault is not None:
            await context.abort(*answer_of(self.fault))
        return authorization_pb2.FinishAuthorizationResponse(auth_config_name="<b>crm</b>")


class Identity(providers_pb2_grpc.ProvidersServiceServicer, sessions_pb2_grpc.SessionsServiceServicer):
    """Vouches for whoever comes, and publishes keys."""

    async def ArriveLogin(self, request, context):
        assert request.redirect_uri == "https://mesh.example/login/callback"
        return providers_pb2.ArriveLoginResponse(shown_code="WDJB-MJHT")

    async def GetSigningKeys(self, request, context):
        return sessions_pb2.GetSigningKeysResponse(jwks='{"keys": []}')


@pytest.fixture(scope="module")
async def house(open_mesh):
    async with open_mesh() as mesh:
        credentials, identity = Credentials(), Identity()
        add = authorization_pb2_grpc.add_AuthorizationServiceServicer_to_server
        await mesh.fake("credentials", add, credentials)

        def both(servicer, server):
            providers_pb2_grpc.add_ProvidersServiceServicer_to_server(servicer, server)
            sessions_pb2_grpc.add_SessionsServiceServicer_to_server(servicer, server)

        await mesh.fake("identity", both, identity)
        listen = f"127.0.0.1:{free_port()}"
        settings = {"public_url": "https://mesh.example/", "trusted_proxies": "127.0.0.0/8"}
        await mesh.start("gateway", http_listen=listen, **settings)
        async with httpx.AsyncClient(base_url=f"http://{listen}") as http:
            yield credentials, http


async def test_a_browser_that_comes_back_finishes_an_authorization(house):
    """
    The page is text and nothing else, and no browser keeps it or tells where it was.
    """
    credentials, http = house
    credentials.fault = None
    headers = {"x-forwarded-for": "203.0.113.9, 192.0.2.7"}
    answer = await http.get("/oauth/callback", params={"state": "s", "code": "c"}, headers=headers)
    asked = credentials.asked[-1]

    assert answer.status_code == 200
    assert "&lt;b&gt;crm&lt;/b&gt; is authorized" in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert (asked.state, asked.code, asked.redirect_uri) == ("s", "c", "https://mesh.example/oauth/callback")
    assert credentials.metadata["isthmus-forwarded-for"] == "192.0.2.7"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=s",
        "code=c",
        "state=s&code=c&error=no",
        "state=s&state=t&code=c",
        f"state={'s' * 4001}&code=c",
    ],
    ids=["nothing", "no code", "no state", "both", "twice", "long"],
)
async def test_what_nobody_has_begun_is_told_plainly(house, query):
    """
    Nothing of it reaches a service.
    """
    credentials, http = house
    before = len(credentials.asked)
    answer = await http.get(f"/oauth/callback?{query}")

    assert answer.status_code == 400
    assert "Nothing to finish" in answer.text
    assert len(credentials.asked) == before


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [(Precondition("AUTHORIZATION_OVER", "x"), 400, "was used, or is too old"),
     (NotAllowed("AUTHORIZATION_DENIED", "crm was not authorized"), 403, "crm was not authorized"),
     (RetryLater("TOKEN_SERVER_UNREACHABLE", "x", retry_after=1), 503, "Begin again in a moment")],
    ids=["over", "denied", "away"],
)  # fmt: skip
async def test_a_refusal_is_a_page_too(house, fault, status, text):
    """
    A used, unknown or expired state gets one and the same page.
    """
    credentials, http = house
    credentials.fault = fault
    answer = await http.get("/oauth/callback", params={"state": "s", "code": "c"})

    assert (answer.status_code, text in answer.text) == (status, True)


async def test_a_login_ends_where_it_was_begun(house):
    """
    The browser gets a code to enter there, and no token.
    """
    _, http = house
    answer = await http.get("/login/callback", params={"state": "s", "code": "c"})

    assert "WDJB-MJHT" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (await http.get("/login/callback", params={"state": "s", "error": "no"})).status_code == 403


async def test_keys_are_published_for_everybody(house):
    """
    With how long they may be remembered.
    """
    _, http = house
    answer = await http.get("/.well-known/jwks.json")

    assert answer.json() == {"keys": []}
    assert answer.headers["cache-control"] == "public, max-age=300"


PROXIES = "10.0.0.0/8, fd00::/8"


@pytest.mark.parametrize(
    ("peer", "line", "client"),
    [("192.0.2.1", "198.51.100.1", "192.0.2.1"), ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
     ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"), ("10.0.0.1", "", "10.0.0.1"),
     ("10.0.0.1", "198.51.100.1, rubbish", ""), ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
     ("fd00::1", "198.51.100.1:80", "198.51.100.1"), ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
     ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3")],
    ids=["spoofed", "one", "spoofed before", "said nothing", "unreadable", "six", "port", "mapped", "inside"],
)  # fmt: skip
def test_who_is_believed_about_clients(peer, line, client):
    """
    Only proxies of the house, from the right end of what they say, and no further than they are trusted.
    """
    assert TrustedProxies(None, networks_of(PROXIES), X_FORWARDED_FOR).client(peer, line) == client


def test_the_standard_header_is_read_as_well():
    """
    As RFC 7239 writes it.
    """
    line = 'for=1.1.1.1, for="[2001:db8::7]:4711";proto=https;by=10.0.0.2, For=10.0.0.9'
    proxies = TrustedProxies(None, networks_of(PROXIES), FORWARDED)

    assert proxies.client("10.0.0.1", line) == "2001:db8::7"


def test_without_proxies_no_header_is_read():
    """
    Whoever connects is the client.
    """
    assert TrustedProxies(None, ()).client("10.0.0.1", "198.51.100.1") == "10.0.0.1"
