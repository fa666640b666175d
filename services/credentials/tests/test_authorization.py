"""Persons authorize configurations: in the browser, and on another device."""

import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import authorization_pb2 as pb
from isthmus.credentials.v1 import authorization_pb2_grpc as pb_grpc
from isthmus.resilience.faults import FixRequest, Missing, NotAllowed, Precondition

CODE, DEVICE = (
    connector_pb2.AUTH_METHOD_OAUTH2_AUTHORIZATION_CODE,
    connector_pb2.AUTH_METHOD_OAUTH2_DEVICE_CODE,
)
REDIRECT = "http://127.0.0.1:5000/back"


@pytest.fixture
def person(replicas, tenant):
    """A user of the tenant; by default always the same one."""

    def known(subject="user:ada"):
        return pb_grpc.AuthorizationServiceStub(replicas[0].channel(tenant, subject=subject))

    return known


@pytest.fixture
def begin(person, create, server):
    """Begins an authorization in the browser."""

    async def begun(held="", **oauth):
        url = f"{server.http.url}/authorize"
        held = held or await create(CODE, authorization_url=url, **oauth)
        request = pb.BeginAuthorizationRequest(auth_config_id=held, redirect_uri=REDIRECT)
        return held, await person().BeginAuthorization(request)

    return begun


def complete(stub, state, code, **more):
    return stub.CompleteAuthorization(pb.CompleteAuthorizationRequest(state=state, code=code, **more))


async def test_a_person_authorizes_in_the_browser(begin, person, hosts, server, lease):
    """
    The first token comes with the code, the following ones with the refresh token.
    """
    held, begun = await begin()
    state, code = server.consent(begun.authorization_url)
    await complete(person(), state, code)

    lent = await lease(hosts[0], held)

    assert state == begun.state
    assert lent.secret.bearer_token in server.good
    assert [form["grant_type"] for form in server.asked] == ["authorization_code"]


async def test_nothing_is_lent_before_a_person_has_authorized(begin, hosts, refusal, lease):
    """
    The fault says what to do.
    """
    held, _ = await begin()

    fault = await refusal(lease(hosts[0], held))

    assert (type(fault), fault.reason) == (Precondition, "REAUTHORIZATION_NEEDED")
    assert "isthmus auth authorize" in fault.message


async def test_a_state_is_good_once_and_for_one_person(begin, person, server, refusal):
    """
    Neither another user nor a second time, nor after somebody has begun anew.
    """
    held, first = await begin()
    _, begun = await begin(held)
    state, code = server.consent(begun.authorization_url)

    stranger = await refusal(complete(person("user:eve"), state, code))
    await complete(person(), state, code)
    again = await refusal(complete(person(), state, code))
    older = await refusal(complete(person(), first.state, code))

    assert {type(fault) for fault in (stranger, again, older)} == {Missing}
    assert {fault.reason for fault in (stranger, again, older)} == {"AUTHORIZATION_UNKNOWN"}


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ({"issuer": "https://evil.example"}, Precondition, "AUTHORIZATION_FOREIGN"),
        ({}, Precondition, "AUTHORIZATION_FOREIGN"),
        ({"issuer": "https://login.example", "error": "access_denied"}, NotAllowed, "AUTHORIZATION_DENIED"),
    ],
    ids=["foreign", "nameless", "denied"],
)
async def test_an_answer_of_another_server_is_refused(begin, person, server, refusal, answer, kind, reason):
    """
    The code is sent nowhere.
    """
    _, begun = await begin(issuer="https://login.example")
    state, code = server.consent(begun.authorization_url)

    fault = await refusal(complete(person(), state, code, **answer))

    assert (type(fault), fault.reason) == (kind, reason)
    assert server.asked == []


async def test_a_code_that_was_stolen_is_worth_nothing(begin, person, server, refusal):
    """
    Who redeems it has to have begun, because the verifier stays here.
    """
    _, first = await begin()
    _, second = await begin()
    _, stolen = server.consent(first.authorization_url)

    fault = await refusal(complete(person(), second.state, stolen))

    assert fault.reason == "TOKEN_GRANT_REFUSED"


async def test_a_redirect_goes_to_a_safe_address_only(create, person, refusal):
    """
    The code is in it.
    """
    held = await create(CODE, authorization_url="https://login.example/authorize")
    request = pb.BeginAuthorizationRequest(auth_config_id=held, redirect_uri="http://app.example/back")

    fault = await refusal(person().BeginAuthorization(request))

    assert isinstance(fault, FixRequest)


@pytest.fixture
def device(create, person, server):
    """Begins an authorization on another device; gives the configuration, the code, and a way to poll."""

    async def begun(interval):
        server.interval = interval
        held = await create(DEVICE, device_authorization_url=f"{server.http.url}/device")
        request = pb.BeginDeviceAuthorizationRequest(auth_config_id=held)
        code = await person().BeginDeviceAuthorization(request)

        def poll():
            asked = pb.PollDeviceAuthorizationRequest(authorization_id=code.authorization_id)
            return person().PollDeviceAuthorization(asked)

        return held, code, poll

    return begun


async def test_a_person_authorizes_on_another_device(device, hosts, server, lease):
    """
    Polling goes on until the person has entered the code.
    """
    held, begun, poll = await device(interval=0)
    waiting = await poll()
    server.entered = True
    while not (done := await poll()).is_complete:
        pass

    assert (begun.user_code, begun.poll_interval.seconds) == ("WDJB-MJHT", 1)
    assert not waiting.is_complete
    assert done.auth_config.token_status.token_id
    assert (await lease(hosts[0], held)).secret.bearer_token in server.good


async def test_a_token_server_is_polled_no_more_often_than_it_allows(device, server):
    """
    Whoever polls more often is told to wait, without a question to the server; `slow_down` makes it longer.
    """
    _, _, poll = await device(interval=60)
    first = await poll()
    others = [await poll() for _ in range(20)]

    assert len(server.asked) == 1
    assert first.poll_interval.seconds == 65
    assert {answer.poll_interval.seconds for answer in others} == {65}


async def test_a_person_who_says_no_ends_it(device, server, refusal):
    """
    Once told, it is over.
    """
    server.entered = False
    _, _, poll = await device(interval=0)

    fault, again = await refusal(poll()), await refusal(poll())

    assert (type(fault), fault.reason) == (NotAllowed, "AUTHORIZATION_DENIED")
    assert again.reason == "AUTHORIZATION_UNKNOWN"


async def test_what_proves_an_authorization_is_in_no_table(begin, device, person, replicas, server):
    """
    Neither state nor verifier nor device code: whoever reads the tables cannot go on from there.
    """
    import psycopg

    held, begun = await begin()
    other, _, _ = await device(interval=60)
    url = replicas[0].settings.database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        connection.execute("set role isthmus_credentials_system")
        tables = ("authorizations", "auth_configs", "outbox", "idempotency")
        dump = str([connection.execute(f"select * from credentials.{table}").fetchall() for table in tables])
    state, code = server.consent(begun.authorization_url)
    await complete(person(), state, code)

    secrets = [state, server.asked[-1]["code_verifier"], *server._devices]
    assert held in dump
    assert other in dump
    assert len(secrets) == 3
    assert [secret for secret in secrets if secret in dump] == []


async def test_the_gateway_finishes_what_comes_back_to_it(begin, replicas, server, hosts, lease, refusal):
    """
    The state tells whose it is, once, for the address that it was begun with, and to the gateway only.
    """
    gateway = pb_grpc.AuthorizationServiceStub(
        replicas[0].channel("", ("credentials.authorizations.finish",), mesh=True)
    )
    held, begun = await begin()
    state, code = server.consent(begun.authorization_url)

    def finish(stub, where):
        return stub.FinishAuthorization(
            pb.FinishAuthorizationRequest(state=state, code=code, redirect_uri=where)
        )

    elsewhere = await refusal(finish(gateway, "https://evil.example/oauth/callback"))
    tenants = await refusal(
        finish(pb_grpc.AuthorizationServiceStub(replicas[0].channel("tnt_x", ("x.y.z",))), REDIRECT)
    )
    await finish(gateway, REDIRECT)
    again = await refusal(finish(gateway, REDIRECT))

    assert {(type(one), one.reason) for one in (elsewhere, again)} == {(Precondition, "AUTHORIZATION_OVER")}
    assert tenants.reason == "PERMISSION_MISSING"
    assert (await lease(hosts[0], held)).secret.bearer_token in server.good
