"""Secrets beside the one of the method: what webhooks are signed with, for example."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit import new_id
from isthmus.resilience.faults import FixRequest
from isthmus.testing.canaries import PLANTED

SIGNING, OTHER = f"{PLANTED}signing", f"{PLANTED}other"


@pytest.fixture
def slack(stub):
    """A token with the secret that webhooks are signed with."""

    async def make(**further):
        secret = pb.SecretMaterial(bearer_token="xoxb-1", further=further or {"signing_secret": SIGNING})
        request = pb.CreateAuthConfigRequest(
            name="slack",
            request_id=new_id("req"),
            auth_type=connector_pb2.AUTH_METHOD_BEARER,
            secret=secret,
        )
        return (await stub.CreateAuthConfig(request)).auth_config

    return make


async def lent(host, config):
    request = pb.LeaseCredentialRequest(auth_config_id=config.auth_config_id, instance_id="ins_1")
    return (await host.LeaseCredential(request)).secret


def update(config, **secret):
    return pb.UpdateAuthConfigRequest(
        auth_config_id=config.auth_config_id, name=config.name, secret=pb.SecretMaterial(**secret)
    )


async def test_they_are_lent_with_the_secret_and_told_by_name_only(slack, hosts):
    """
    Whoever looks sees that there is one; a host gets it.
    """
    config = await slack()
    secret = await lent(hosts[0], config)

    assert (secret.bearer_token, dict(secret.further)) == ("xoxb-1", {"signing_secret": SIGNING})
    assert list(config.further_secrets) == ["signing_secret"]
    assert SIGNING not in str(config)


async def test_a_new_secret_leaves_them_as_they_are(slack, hosts, stub):
    """
    Also while the old and the new one overlap.
    """
    config = await slack()
    rotate = pb.RotateAuthConfigRequest(
        auth_config_id=config.auth_config_id,
        secret=pb.SecretMaterial(bearer_token="xoxb-2"),
        overlap=Duration(seconds=int(timedelta(hours=1).total_seconds())),
    )
    rotated = (await stub.RotateAuthConfig(rotate)).auth_config
    secret = await lent(hosts[0], config)

    assert list(rotated.further_secrets) == ["signing_secret"]
    assert (secret.bearer_token, dict(secret.further)) == ("xoxb-2", {"signing_secret": SIGNING})


async def test_they_change_without_the_secret(slack, hosts, stub):
    """
    One is replaced, one added, and one goes that is sent empty; hosts see another version of the whole.
    """
    config = await slack(signing_secret=SIGNING, old=OTHER)
    changed = await stub.UpdateAuthConfig(update(config, further={"old": "", "app_token": OTHER}))
    secret = await lent(hosts[0], config)

    assert list(changed.auth_config.further_secrets) == ["app_token", "signing_secret"]
    assert changed.auth_config.secret_version > config.secret_version
    assert (secret.bearer_token, dict(secret.further)) == (
        "xoxb-1",
        {"app_token": OTHER, "signing_secret": SIGNING},
    )


async def test_access_tokens_come_with_them(create, hosts, stub, lease):
    """
    In place of the client's secret, which stays where it is, and without another token being asked for.
    """
    made = await create()
    token = (await lease(hosts[0], made)).secret.bearer_token
    config = (await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=made))).auth_config
    request = pb.UpdateAuthConfigRequest(
        auth_config_id=made,
        name=config.name,
        oauth_config=config.oauth_config,
        secret=pb.SecretMaterial(further={"signing_secret": SIGNING}),
    )
    await stub.UpdateAuthConfig(request)
    secret = (await lease(hosts[0], made)).secret

    assert (secret.bearer_token, dict(secret.further)) == (token, {"signing_secret": SIGNING})


@pytest.mark.parametrize(
    "further",
    [{"Signing Secret": "x"}, {"a": "x" * 20_000}, {f"s{number}": "x" for number in range(30)}],
    ids=["name", "long", "many"],
)
async def test_names_and_sizes_are_checked(slack, refusal, further):
    """
    Names are those of settings, and there are not too many or too long ones.
    """
    fault = await refusal(slack(**further))

    assert isinstance(fault, FixRequest)
    assert "secret" in fault.violations[0].path


async def test_they_are_nothing_without_the_secret(stub, refusal, slack):
    """
    A new configuration needs the secret itself, and so does a rotation.
    """
    only = pb.SecretMaterial(further={"signing_secret": SIGNING})
    request = pb.CreateAuthConfigRequest(
        name="half", auth_type=connector_pb2.AUTH_METHOD_BEARER, secret=only, request_id=new_id("req")
    )
    config = await slack()

    assert isinstance(await refusal(stub.CreateAuthConfig(request)), FixRequest)
    rotate = pb.RotateAuthConfigRequest(auth_config_id=config.auth_config_id, secret=only)
    assert isinstance(await refusal(stub.RotateAuthConfig(rotate)), FixRequest)
