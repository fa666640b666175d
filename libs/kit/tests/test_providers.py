"""Every provider of secrets behind the port, and copies from one to another."""

import asyncio

import pytest
from isthmus.kit.vault.azure import AzureKeyVault, name_of
from isthmus.kit.vault.azure_login import AzureLogin
from isthmus.kit.vault.copying import Copied, copy
from isthmus.kit.vault.environment import EnvironmentArchive, variable_of
from isthmus.kit.vault.openbao_archive import OpenBaoArchive
from isthmus.kit.vault.sealed_file import SealedFile, new_key
from isthmus.kit.vault.shelf import ShelfVault
from isthmus.resilience.faults import Conflict, DataLost, Missing, Precondition, RetryLater
from isthmus.testing.http_server import HttpServer
from isthmus.testing.key_vault import KeyVault
from isthmus.testing.shared import SHARED

CONTRACT = SHARED / "contracts" / "azure-keyvault"
KEY = new_key()
WRITABLE = pytest.mark.parametrize("provider", ["openbao", "azure", "file"])


@pytest.fixture
async def key_vault():
    async with HttpServer() as http:
        yield KeyVault(http, CONTRACT if CONTRACT.exists() else None)


@pytest.fixture
async def azure(key_vault):
    shelf = AzureKeyVault(key_vault.http.url, AzureLogin(key_vault.variables))
    yield shelf
    await shelf.close()


@pytest.fixture
def file(tmp_path):
    return SealedFile(tmp_path / "secrets.sealed", lambda: KEY)


@pytest.fixture
def safe(provider, request):
    """The vault of a service, by the provider's name."""
    if provider == "openbao":
        return request.getfixturevalue("vault").open("credentials")
    return ShelfVault(request.getfixturevalue(provider), service="credentials")


@pytest.fixture
def archive(target, request):
    """All secrets of a provider, by its name."""
    if target != "openbao":
        return request.getfixturevalue(target)
    server = request.getfixturevalue("vault")
    return OpenBaoArchive(server.address, lambda: server.root_token, server.ca_file)


@WRITABLE
async def test_every_provider_keeps_versions_and_one_writer_wins(safe):
    """
    Numbers count from 1, an older version is read by its number, and check-and-set refuses the second.
    """
    own = safe.tenant("tnt_port")
    await own.delete("ath_1")
    first = await own.write("ath_1", {"value": "one"}, after=0)
    second = await own.write("ath_1", {"value": "two"}, after=first)

    with pytest.raises(Conflict, match="meanwhile"):
        await own.write("ath_1", {"value": "three"}, after=first)
    assert await own.read("ath_1", version=first) == {"value": "one"}
    assert await own.newest("ath_1") == ({"value": "two"}, second)


@WRITABLE
async def test_what_was_deleted_is_gone_and_may_come_again(safe):
    """
    Deleting twice is no error; the same path takes another secret.
    """
    own = safe.tenant("tnt_port")
    await own.write("ath_2", {"value": "one"})
    await own.delete("ath_2")
    await own.delete("ath_2")

    assert await own.newest("ath_2") == ({}, 0)
    with pytest.raises(Missing):
        await own.read("ath_2")
    version = await own.write("ath_2", {"value": "again"}, after=0)
    assert await own.read("ath_2", version=version) == {"value": "again"}


@WRITABLE
async def test_what_is_sealed_opens_for_the_same_tenant_only(safe):
    """
    Whether the provider seals or a data key of ours: nobody else's opens, nor what was altered.
    """
    sealed = await safe.tenant("tnt_a").encrypt(b"verifier")

    assert await safe.tenant("tnt_a").decrypt(sealed) == b"verifier"
    assert "verifier" not in sealed
    for tenant, text in (("tnt_b", sealed), ("tnt_a", f"{sealed[:-6]}AAAA=="), ("tnt_a", "nothing")):
        with pytest.raises(DataLost, match="cannot be opened"):
            await safe.tenant(tenant).decrypt(text)


@WRITABLE
async def test_every_provider_says_how_it_is(safe, provider):
    """
    By its name, for the health of services and for `isthmus doctor`.
    """
    state = await safe.state()

    assert (state.provider, state.is_usable) == (provider, True)


async def test_the_environment_is_read_and_refuses_to_be_written():
    """
    The refusal names the variable; a value that is no object is the secret's only part.
    """
    values = {variable_of("isthmus/identity/pepper"): '{"pepper": "00"}'}
    values[variable_of("isthmus/tenants/tnt_a/credentials/ath_1")] = "plain"
    safe = ShelfVault(EnvironmentArchive(values), service="identity")

    assert await safe.read("pepper") == {"pepper": "00"}
    other = ShelfVault(EnvironmentArchive(values), service="credentials").tenant("tnt_a")
    assert await other.read("ath_1", version=4) == {"value": "plain"}
    with pytest.raises(Precondition, match="ISTHMUS_SECRET_IDENTITY__PEPPER"):
        await safe.write("pepper", {"pepper": "11"})


async def test_a_sealed_file_shows_nothing_and_takes_several_writers(file, tmp_path):
    """
    Each writer adds its own; neither a secret nor a path is in the bytes, and nobody else may read the file.
    """
    others = [SealedFile(tmp_path / "secrets.sealed", lambda: KEY) for _ in range(4)]
    await asyncio.gather(
        *(one.add(f"isthmus/x/{number}", {"value": "canary"}, 0) for number, one in enumerate(others))
    )

    assert len([path async for path in file.paths()]) == 4
    content = (tmp_path / "secrets.sealed").read_bytes()
    assert b"canary" not in content
    assert b"isthmus/x" not in content
    assert (tmp_path / "secrets.sealed").stat().st_mode & 0o077 == 0


async def test_a_sealed_file_says_what_is_wrong_with_its_key(file, tmp_path):
    """
    Another key opens nothing and destroys nothing; a key that is away is waited for.
    """
    await file.add("isthmus/x/1", {"value": "one"}, 0)
    other = SealedFile(tmp_path / "secrets.sealed", new_key)
    absent = SealedFile(tmp_path / "secrets.sealed", (tmp_path / "away").read_text)

    with pytest.raises(DataLost, match="another one"):
        await other.add("isthmus/x/1", {"value": "two"}, None)
    with pytest.raises(RetryLater) as sealed:
        await absent.newest("isthmus/x/1")
    assert sealed.value.reason == "VAULT_SEALED"
    assert await file.newest("isthmus/x/1") == ({"value": "one"}, 1)


def test_names_of_key_vault_are_names_and_tell_paths_apart():
    """
    Letters, digits and `-` only, at most 127; capitals count although Key Vault does not see them.
    """
    paths = ["isthmus/a_b", "isthmus/a-b", "isthmus/A_b", "isthmus/" + "x/" * 80, "isthmus/ü"]
    names = [name_of(path) for path in paths]

    assert len({name.lower() for name in names}) == len(paths)
    assert all(name.replace("-", "").isalnum() and name.isascii() and len(name) <= 127 for name in names)


async def test_key_vault_without_the_right_to_purge_keeps_names_and_gives_them_back(key_vault, azure):
    """
    Soft deletion holds the name: a new secret takes the deleted one back first, which takes a while.
    """
    key_vault.can_purge = False
    await azure.add("isthmus/x/1", {"value": "one"}, 0)
    await azure.remove("isthmus/x/1")
    key_vault.slow = 2

    version = await azure.add("isthmus/x/1", {"value": "two"}, 0)

    assert await azure.newest("isthmus/x/1") == ({"value": "two"}, version)


async def test_key_vault_that_throttles_is_asked_later(key_vault, azure):
    """
    For as long as it says.
    """
    await azure.newest("isthmus/x/1")
    key_vault.throttled = 1

    with pytest.raises(RetryLater, match="throttled") as refused:
        await azure.newest("isthmus/x/1")
    assert (refused.value.reason, refused.value.retry_after) == ("VAULT_UNREACHABLE", 7.0)


async def test_a_token_that_key_vault_refuses_is_replaced(key_vault, azure):
    """
    It may have been revoked; the second refusal would be told.
    """
    await azure.add("isthmus/x/1", {"value": "one"}, 0)
    key_vault.expire_tokens()

    assert (await azure.newest("isthmus/x/1"))[1] == 1


async def test_no_token_is_got_for_somebody_else(key_vault, azure):
    """
    A challenge that names another resource is not followed.
    """
    key_vault.resource = "https://vault.evil.example"

    with pytest.raises(RetryLater, match="another resource"):
        await azure.newest("isthmus/x/1")
    assert key_vault.shown == []


async def test_a_workload_shows_the_token_of_its_platform(key_vault, tmp_path):
    """
    Read anew for each token; no secret of ours is needed.
    """
    (tmp_path / "token").write_text("platform-token")
    variables = {**key_vault.variables, "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    shelf = AzureKeyVault(key_vault.http.url, AzureLogin(variables))

    assert (await shelf.state()).is_usable
    await shelf.close()
    assert key_vault.shown[0]["client_assertion"] == "platform-token"
    assert "client_secret" not in key_vault.shown[0]


async def test_a_key_vault_that_is_away_is_said_so(free_port, key_vault):
    """
    Neither the address of a secret nor what was sent is in the words.
    """
    shelf = AzureKeyVault(f"http://127.0.0.1:{free_port}", AzureLogin(key_vault.variables))

    with pytest.raises(RetryLater) as refused:
        await shelf.add("isthmus/x/1", {"value": "canary"}, None)
    await shelf.close()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("target", ["azure", "file", "openbao"])
async def test_a_copy_keeps_versions_and_is_true(target, archive, tmp_path):
    """
    Versions keep their numbers, also where some are gone; a second copy finds nothing to do.
    """
    source = SealedFile(tmp_path / "source", lambda: KEY)
    path = f"isthmus/tenants/tnt_copy/credentials/ath_{target}"
    await source.put(path, {2: {"value": "two"}, 4: {"value": "four"}})

    dry = [one.result async for one in copy(source, archive, dry_run=True)]
    assert await archive.versions(path) == {}
    done = [one.result async for one in copy(source, archive)]
    again = [one.result async for one in copy(source, archive)]

    assert (dry, done, again) == ([Copied.WOULD_COPY], [Copied.COPIED], [Copied.SAME])
    assert await archive.versions(path) == {2: {"value": "two"}, 4: {"value": "four"}}


@pytest.mark.parametrize("target", ["azure", "file", "openbao"])
async def test_a_copy_leaves_alone_what_differs_unless_told(target, archive, tmp_path):
    """
    Nobody loses a newer secret to an old copy.
    """
    source = SealedFile(tmp_path / "source", lambda: KEY)
    path = f"isthmus/tenants/tnt_copy/credentials/ath_differs_{target}"
    await source.put(path, {1: {"value": "old"}})
    await archive.put(path, {1: {"value": "new"}})

    left = [one.result async for one in copy(source, archive)]
    kept = await archive.versions(path)
    forced = [one.result async for one in copy(source, archive, overwrite=True)]

    assert (left, kept, forced) == ([Copied.DIFFERS], {1: {"value": "new"}}, [Copied.COPIED])
    assert await archive.versions(path) == {1: {"value": "old"}}
