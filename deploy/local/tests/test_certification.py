"""The vault as certificate authority: who gets which name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from isthmus.local.backends.base import BackendFailed
from isthmus.local.backends.vault_pki import PKI, role_of
from isthmus.local.issuing import VaultPlace, _Vault, _wanted, issue

HOST, OTHER = "host:files", "service:identity"


@pytest.fixture
def launcher(vault):
    """The vault as the launcher reaches it."""
    opened = _Vault(vault.place)
    files = vault.place.role
    login = {"role_id": files.role_id.read_text(), "secret_id": files.secret_id.read_text()}
    opened.token = opened.ask("auth/approle/login", login)["auth"]["client_token"]
    yield opened
    opened.close()


def test_certificates_name_their_process_alone_and_end_soon(vault, tmp_path):
    """
    One name for other meshes, one for TLS libraries, and a file that nobody else may read.
    """
    issue(vault.place, [HOST], tmp_path, 60)
    file = tmp_path / "host-files.pem"
    found = x509.load_pem_x509_certificate(file.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://isthmus.local/host/files"]
    assert names.get_values_for_type(x509.DNSName) == ["files.host.isthmus.local"]
    assert found.not_valid_after_utc < datetime.now(UTC) + timedelta(seconds=90)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["common_name", "uri_sans"])
def test_the_role_of_a_host_issues_nobody_elses_name(launcher, field):
    """
    Neither the SPIFFE id nor the DNS name of another process.
    """
    wanted = {**_wanted(HOST, 60), field: _wanted(OTHER, 60)[field]}

    with pytest.raises(BackendFailed, match="refuses pki/issue/isthmus-host-files"):
        launcher.ask(f"{PKI}/issue/{role_of(HOST)}", wanted)


@pytest.mark.parametrize("path", [f"{PKI}/roles/{role_of(HOST)}", "secret/data/isthmus/identity/x"])
def test_the_launcher_reaches_nothing_else_in_the_vault(launcher, path):
    """
    It can neither change who may be named nor read a secret.
    """
    with pytest.raises(BackendFailed, match="permission denied"):
        launcher.ask(path, {"data": {}})


def test_a_vault_for_which_nobody_vouches_is_told_nothing(vault, tmp_path):
    """
    The authorities of the system do not know it; the message says which option names others.
    """
    with pytest.raises(BackendFailed, match="--vault-ca-file"):
        issue(VaultPlace(vault.address, vault.place.role), [HOST], tmp_path, 60)


def test_a_vault_that_is_not_prepared_is_told(vault, tmp_path):
    """
    The message says which script prepares it.
    """
    with pytest.raises(BackendFailed, match="isthmus vault script"):
        issue(vault.place, ["host:unknown"], tmp_path, 60)
