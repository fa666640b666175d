"""What may be reached in plain text, and what may not."""

import pytest
from isthmus.kit.plaintext import check_bus, check_vault, is_near, secured_database
from isthmus.resilience.faults import Precondition

FAR = "postgresql://admin:word@db.example:5433/isthmus"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:b@127.0.0.1:5432/isthmus",
        "postgresql://a:b@[::1]:5432/isthmus?sslmode=disable",
        "postgresql://a:b@localhost/isthmus",
        "postgresql://a:b@/isthmus?host=/run/postgresql",
        "postgresql://a:b@%2Frun%2Fpostgresql/isthmus",
        f"{FAR}?sslmode=verify-ca",
        f"{FAR}?sslmode=require",
    ],
)
def test_a_database_here_or_one_that_is_told_what_to_check_stays_as_it_is(url):
    """
    The machine's own needs no TLS, and what somebody has chosen is not overruled.
    """
    assert secured_database(url, allow_plaintext=False) == url


@pytest.mark.parametrize(
    "url", [FAR, "postgresql://a:b@127.0.0.1,db.example:5433/isthmus", f"{FAR}?sslrootcert=/a/b"]
)
def test_a_database_elsewhere_has_to_show_its_certificate(url):
    """
    Its name is checked, too, unless the network is protected.
    """
    assert secured_database(url, allow_plaintext=False).endswith("sslmode=verify-full")
    assert secured_database(url, allow_plaintext=True) == url


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_plain_text_to_a_database_elsewhere_is_refused(mode):
    """
    Also where it would only be put up with.
    """
    with pytest.raises(Precondition, match="sslmode=verify-full") as refusal:
        secured_database(f"{FAR}?sslmode={mode}", allow_plaintext=False)

    assert "admin" not in refusal.value.message
    assert secured_database(f"{FAR}?sslmode={mode}", allow_plaintext=True)


def test_plain_text_to_a_bus_or_a_vault_elsewhere_is_refused():
    """
    Each refusal says what to write in its place.
    """
    with pytest.raises(Precondition, match="tls://"):
        check_bus("nats://u:word@nats.example:4222", is_secure=False, allow_plaintext=False)
    with pytest.raises(Precondition, match="https://"):
        check_vault("http://vault.example:8200", allow_plaintext=False)

    check_bus("nats://u:word@nats.example:4222", is_secure=True, allow_plaintext=False)
    check_bus("nats://127.0.0.1:4222", is_secure=False, allow_plaintext=False)
    check_vault("https://vault.example:8200", allow_plaintext=False)
    check_vault("http://vault.example:8200", allow_plaintext=True)


@pytest.mark.parametrize(
    ("host", "near"), [("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), ("localhost.example", False)]
)
def test_near_is_this_machine_only(host, near):
    """
    A name that merely looks like it is not.
    """
    assert is_near(host) is near
