"""The embedded vault's own certificate: what stays, what is made anew, and what it is good for."""

import ssl

import pytest
from isthmus.local.backends import vault_tls
from isthmus.local.backends.vault_tls import VaultCertificate


@pytest.fixture
def files(tmp_path):
    """Gives what lies beside an authority's certificate, by name, once all is prepared."""

    def prepared(lifetime=600):
        VaultCertificate(tmp_path / "authority.pem", lifetime).prepare()
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    return prepared


def test_what_is_good_stays(files):
    """
    A start makes no new authority, nor a new certificate while the old one has more than half its life.
    """
    assert files() == files()


@pytest.mark.parametrize("name", ["authority.pem", "authority.key", "server.pem"])
@pytest.mark.parametrize("text", ["", "rubbish", None])
def test_what_is_missing_or_broken_is_made_anew(files, tmp_path, name, text):
    """
    Whatever a crash or a restored backup has left, all fits together after a start.
    """
    before = files()
    (tmp_path / name).write_text(text) if text is not None else (tmp_path / name).unlink()
    after = files()

    assert after["server.pem"] != before["server.pem"]
    assert (after["authority.pem"] == before["authority.pem"]) is (name == "server.pem")
    assert files() == after


def test_half_of_its_life_is_the_time_for_a_new_certificate(files, tmp_path):
    """
    The authority stays, so whoever talks to the vault notices nothing.
    """
    before = files(100)
    after = files(10_000)

    assert after["server.pem"] != before["server.pem"]
    assert after["authority.pem"] == before["authority.pem"]


def test_the_authority_vouches_for_nothing_beyond_this_machine(files, tmp_path, monkeypatch):
    """
    What a stolen key of the authority has signed for another address, a client refuses.
    """
    files()
    here = believed(tmp_path, "127.0.0.1")
    monkeypatch.setattr(vault_tls, "HOST", "10.0.0.1")
    (tmp_path / "server.pem").unlink()
    files()

    assert here == ""
    assert "permitted subtree violation" in believed(tmp_path, "10.0.0.1")


def believed(folder, name):
    """Shakes hands with whoever has the server's key; returns why a client refuses, if it does."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=folder / "authority.pem")
    shaking = client.wrap_bio(client_in, client_out, server_hostname=name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = context.wrap_bio(client_out, client_in, server_side=True)
    for side in (shaking, server, shaking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""
