"""Webhooks are from whom they say, or are refused in one way."""

import hmac
import json
from base64 import b64decode
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.sdk import ConfigurationFailure, Event, SignatureInvalid
from isthmus.sdk import signatures as known

VECTORS = json.loads((Path(__file__).parent / "signatures.json").read_text())
"""Published examples and what senders' own libraries make: who signed, with what, and whether it holds."""
NOW = 1_614_265_330
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
OURS = "nobody else knows it"
SIGNED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def at(seconds):
    """A clock that stands still."""
    return lambda: seconds


SCHEMES = {
    "slack-v0": lambda vector, now: known.slack(vector["secret"], clock=at(now)),
    "standard-webhooks": lambda vector, now: known.standard_webhooks(vector["secret"], clock=at(now)),
    "github-sha256": lambda vector, now: known.github(vector["secret"]),
    "gitlab-token": lambda vector, now: known.token(vector["secret"], header="X-Gitlab-Token"),
    "pagerduty-v3": lambda vector, now: known.pagerduty(vector["secret"]),
    "twilio": lambda vector, now: known.twilio(vector["secret"], url=vector["url"]),
    "basic-auth": lambda vector, now: known.basic(vector["secret"]),
}
EACH = {
    "slack-v0": known.slack(OURS, clock=at(NOW)),
    "standard-webhooks": known.standard_webhooks(SECRET, clock=at(NOW)),
    "github-sha256": known.github(OURS),
    "gitlab-token": known.token(OURS, header="X-Gitlab-Token"),
    "pagerduty-v3": known.pagerduty(OURS),
    "twilio": known.twilio(OURS, url="https://here.example/x"),
    "basic-auth": known.basic(f"hook:{OURS}"),
}


def event(headers, body=BODY):
    return Event("k", "POST", "/", headers, body)


def refusal(verify, headers, body=BODY):
    """What is told of a refusal."""
    with pytest.raises(SignatureInvalid) as refused:
        verify(event(headers, body))
    return refused.value.reason, refused.value.message, refused.value.metadata


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['scheme']}: {vector['name']}")
def test_published_examples_hold_and_changed_ones_do_not(vector):
    """
    As the senders' own libraries judge them.
    """
    now = vector.get("verify_at") or vector["signed_at"] or NOW
    verify = SCHEMES[vector["scheme"]](vector, now)
    body = urlencode(vector["params"]) if "params" in vector else vector["body"]
    if vector["valid"]:
        assert verify(event(vector["headers"], body.encode())).delivery_id
    else:
        refusal(verify, vector["headers"], body.encode())


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "0",
        "-1",
        "+{}",
        " {}",
        "{} ",
        "{}.0",
        "{}e0",
        "0{}",
        "1_614_265_330",
        "１６１４２６５３３０",
        "9" * 400,
        "nan",
    ],
)
def test_a_time_has_one_spelling(spelling):
    """
    What is a number to somebody else is signed here as well, and refused all the same.
    """
    moment = spelling.format(NOW)
    signed = f"msg_1.{moment}.".encode() + BODY
    proof = known._base64(hmac.digest(b64decode(SECRET.removeprefix("whsec_")), signed, "sha256"))
    headers = {"webhook-id": "msg_1", "webhook-timestamp": moment, "webhook-signature": f"v1,{proof}"}

    refusal(EACH["standard-webhooks"], headers)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_time_far_from_now_is_refused(seconds):
    """
    Yesterday's delivery, and tomorrow's.
    """
    refusal(known.standard_webhooks(SECRET, clock=at(NOW + seconds)), SIGNED)
    assert (
        known.standard_webhooks(SECRET, clock=at(NOW + seconds * 299 // 301))(event(SIGNED)).signed_at == NOW
    )


def test_all_refusals_are_alike():
    """
    An unknown secret, a signature of another body, none, half of one: nobody learns which it was.
    """
    other = known.standard_webhooks("whsec_AAAA", clock=at(NOW))
    told = [refusal(other, SIGNED), refusal(EACH["standard-webhooks"], SIGNED, b"other")]
    for name in SIGNED:
        told += [
            refusal(EACH["standard-webhooks"], {**SIGNED, name: text})
            for text in ("", "x", "\udcff", "v1," * 9)
        ]
        told.append(refusal(EACH["standard-webhooks"], {key: SIGNED[key] for key in SIGNED.keys() - {name}}))

    assert len(set(map(str, told))) == 1


def test_an_id_cannot_take_a_part_of_the_body():
    """
    Where the sender's body begins with digits and a dot, they are no time for a longer id.
    """
    key = b64decode(SECRET.removeprefix("whsec_"))
    body = f"{NOW}.5".encode()
    proof = known._base64(hmac.digest(key, f"msg.{NOW}.".encode() + body, "sha256"))
    shifted = {
        "webhook-id": f"msg.{NOW}",
        "webhook-timestamp": str(NOW),
        "webhook-signature": f"v1,{proof}",
    }

    refusal(EACH["standard-webhooks"], shifted, b"5")


def test_a_delivery_that_is_repeated_is_known_by_its_id():
    """
    Also where who repeats it says that it is another one, for GitHub does not sign its id.
    """
    headers = {"X-Hub-Signature-256": f"sha256={hmac.digest(OURS.encode(), BODY, 'sha256').hex()}"}
    first, again = (
        EACH["github-sha256"](event({**headers, "X-GitHub-Delivery": name})) for name in ("one", "two")
    )

    assert first == again
    assert first.signed_at is None
    assert EACH["standard-webhooks"](event(SIGNED)) == known.Delivery(SIGNED["webhook-id"], NOW)


@pytest.mark.parametrize("secrets", [(), ("",), ("s", "")])
def test_without_a_secret_nothing_is_from_anybody(secrets):
    """
    An empty one would let everybody sign.
    """
    for make in (known.slack, known.github, known.pagerduty, known.basic, known.standard_webhooks):
        with pytest.raises(ConfigurationFailure, match="secret"):
            make(*secrets)


def test_a_secret_that_is_none_is_not_repeated():
    """
    What was entered may be a secret of something else.
    """
    with pytest.raises(ConfigurationFailure) as refused:
        known.standard_webhooks("whsec_not base64 hidden")

    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("scheme", sorted(EACH))
@given(data=st.data())
def test_whatever_comes_is_refused_in_one_way(scheme, data):
    """
    Odd headers and odd bodies, in the places where signatures are looked for.
    """
    names = sorted({name for vector in VECTORS if vector["scheme"] == scheme for name in vector["headers"]})
    texts = st.text() | st.sampled_from(
        ["v1,", "v1=", "v0=", "sha256=", "Basic ", str(NOW), "v1,é", "v1,===="]
    )
    headers = data.draw(st.dictionaries(st.sampled_from(names), texts | st.just(str(NOW))))
    body = data.draw(st.binary(max_size=100) | st.just(b"a&" * 2000) | st.just(b"%ff=%00"))

    refusal(EACH[scheme], headers, body)
