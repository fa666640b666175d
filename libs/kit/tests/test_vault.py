"""The vault client against a real OpenBao."""

import asyncio

import pytest
from isthmus.kit.vault import AppRole, TokenFile
from isthmus.kit.vault.openbao import OpenBaoVault
from isthmus.local.backends.vault_tls import VaultCertificate
from isthmus.resilience.faults import Conflict, DataLost, Missing, RetryLater


@pytest.fixture
def client(vault):
    return vault.open("credentials")


@pytest.fixture
def root(vault):
    return vault.root()


@pytest.fixture
def stranger(tmp_path):
    """An authority that vouches for another vault."""
    file = tmp_path / "stranger" / "authority.pem"
    VaultCertificate(file, 60).prepare()
    return file.read_text()


async def test_what_was_written_is_read(client):
    """
    A secret comes back as it was stored, each version under its number.
    """
    first = await client.write("kit/a", {"key": "one"})
    second = await client.write("kit/a", {"key": "two"})

    assert await client.read("kit/a") == {"key": "two"}
    assert await client.read("kit/a", version=first) == {"key": "one"}
    assert (first, second) == (1, 2)


async def test_an_absent_secret_is_missing(client):
    """
    A path without a secret is told apart from a vault without an answer.
    """
    with pytest.raises(Missing, match="no such secret"):
        await client.read("kit/never")


async def test_deleting_removes_every_version(client):
    """
    After a deletion no version can be read, and deleting again is no error.
    """
    version = await client.write("kit/b", {"key": "one"})
    await client.delete("kit/b")
    await client.delete("kit/b")

    with pytest.raises(Missing):
        await client.read("kit/b", version=version)


async def test_only_one_of_two_writers_creates(client):
    """
    Two writers that both mean to be first do not overwrite one another.
    """
    writes = [client.write("kit/c", {"key": str(i)}, after=0) for i in range(5)]
    results = await asyncio.gather(*writes, return_exceptions=True)

    assert [type(result) for result in results].count(Conflict) == 4


async def test_a_vault_that_is_gone_is_told_soon(free_port, tmp_path):
    """
    Nobody waits long for a vault that does not listen.
    """
    (tmp_path / "token").write_text("any")
    gone = OpenBaoVault(f"http://127.0.0.1:{free_port}", TokenFile(tmp_path / "token"), service="credentials")
    with pytest.raises(RetryLater) as refused:
        await gone.read("kit/a")

    assert refused.value.reason == "VAULT_UNREACHABLE"


async def test_a_vault_that_swallows_packets_is_told_soon(tmp_path):
    """
    A vault that accepts connections and never answers is as good as gone.
    """
    (tmp_path / "token").write_text("any")
    async with await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        silent_vault = OpenBaoVault(
            f"http://127.0.0.1:{port}", TokenFile(tmp_path / "token"), service="credentials"
        )
        with pytest.raises(RetryLater):
            await silent_vault.read("kit/a")


@pytest.mark.parametrize("kind", ["nobody", "stranger", "empty", "plain"])
async def test_a_vault_that_is_not_believed_is_told_nothing(vault, tmp_path, stranger, kind):
    """
    The message says whether authorities are missing or the address begins wrongly; the token stays here.
    """
    place, authorities, words = {
        "nobody": (vault.address, None, "ISTHMUS_VAULT_CA_FILE"),
        "stranger": (vault.address, stranger, "ISTHMUS_VAULT_CA_FILE"),
        "empty": (vault.address, "", "holds no certificate"),
        "plain": (vault.address.replace("https", "http"), None, "begin its address with https"),
    }[kind]
    (tmp_path / "token").write_text("any")
    file = None
    if authorities is not None:
        file = tmp_path / "authorities.pem"
        file.write_text(authorities)
    client = OpenBaoVault(place, TokenFile(tmp_path / "token"), service="credentials", ca_file=file)

    assert words in (await client.state()).text


async def test_authorities_that_are_replaced_are_used_at_the_next_call(vault, tmp_path, stranger):
    """
    Whoever corrects the file need not start a service anew.
    """
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(stranger)
    role = _role(vault, "credentials")
    client = OpenBaoVault(vault.address, role, service="credentials", ca_file=authorities)
    with pytest.raises(RetryLater, match="not believed"):
        await client.write("kit/e", {"key": "one"})
    authorities.write_text(vault.ca_file.read_text())

    assert await client.write("kit/e", {"key": "one"})


async def test_a_renewed_token_is_picked_up(vault, tmp_path):
    """
    When the token in the file has been renewed, the next call uses it, for a tenant's secrets too.
    """
    token_file = tmp_path / "token"
    token_file.write_text("worn-out")
    login = TokenFile(token_file)
    client = OpenBaoVault(vault.address, login, service="credentials", ca_file=vault.ca_file)
    with pytest.raises(RetryLater, match="refuses"):
        await client.write("kit/d", {"key": "one"})
    token_file.write_text(vault.root_token)

    assert await client.write("kit/d", {"key": "one"}) == 1
    assert await client.tenant("tnt_file").write("kit/d", {"key": "one"}) == 1


async def test_a_service_reaches_its_own_folder_only(vault, client):
    """
    Another service's secrets, and a tenant's without that tenant's token, are refused.
    """
    await vault.open("identity").tenant("tnt_a").write("kit/own", {"key": "one"})
    role = _role(vault, "credentials")
    prying = OpenBaoVault(vault.address, role, service="identity", ca_file=vault.ca_file)

    assert await client.tenant("tnt_a").write("kit/own", {"key": "two"}) == 1
    with pytest.raises(RetryLater, match="refuses"):
        await prying.read("kit/own")
    with pytest.raises(RetryLater, match="refuses"):
        await client.read("../tenants/tnt_a/credentials/kit/own")


async def test_a_tenants_token_reaches_no_other_tenant(vault, client):
    """
    A defect that mixes up paths ends at the vault: the token that a tenant's calls carry names the tenant.
    """
    await client.tenant("tnt_a").write("kit/mixed", {"key": "one"})
    mixed = client.tenant("tnt_b")
    mixed._folder = client.tenant("tnt_a")._folder

    with pytest.raises(RetryLater, match="refuses"):
        await mixed.read("kit/mixed")


async def test_what_is_sealed_opens_for_the_same_tenant_only(client):
    """
    Text for PostgreSQL is of no use to another tenant, nor once it was altered.
    """
    sealed = await client.tenant("tnt_a").encrypt(b"state")

    assert sealed.startswith("vault:")
    assert "state" not in sealed
    assert await client.tenant("tnt_a").decrypt(sealed) == b"state"
    await client.tenant("tnt_b").encrypt(b"other")
    for tenant, text in (("tnt_b", sealed), ("tnt_a", sealed[:-6] + "AAAA=="), ("tnt_a", "nonsense")):
        with pytest.raises(DataLost):
            await client.tenant(tenant).decrypt(text)


async def test_tokens_that_were_revoked_are_replaced(client, root):
    """
    A service whose tokens end early logs in again, and the caller notices nothing.
    """
    await client.write("kit/again", {"key": "own"})
    await client.tenant("tnt_a").write("kit/again", {"key": "tenant"})
    root.adapter.put("/v1/sys/leases/revoke-prefix/auth/approle/login")

    assert await client.tenant("tnt_a").read("kit/again") == {"key": "tenant"}
    root.adapter.put("/v1/sys/leases/revoke-prefix/auth/approle/login")
    assert await client.read("kit/again") == {"key": "own"}


async def test_a_token_is_renewed_before_it_ends(vault, root):
    """
    Through renewals, and a new login when no more are granted, calls go on beyond the life of any token.
    """
    role = "/v1/auth/approle/role/isthmus-credentials"
    lives = root.adapter.get(role)["data"]
    root.adapter.post(role, json={"token_ttl": 1, "token_max_ttl": 2})
    client = vault.open("credentials")
    try:
        for _ in range(30):
            await client.write("kit/lasting", {"key": "one"})
            await asyncio.sleep(0.1)
    finally:
        root.adapter.post(role, json={name: lives[name] for name in ("token_ttl", "token_max_ttl")})

    assert "auth/token/renew-self" in vault.audit_log.read_text()


def _role(vault, service):
    files = vault.role_files(service)
    return AppRole(files.role_id, files.secret_id)
