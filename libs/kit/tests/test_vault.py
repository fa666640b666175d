"""The vault client against a real OpenBao."""

import asyncio

import pytest
from isthmus.kit import Vault
from isthmus.resilience.faults import Conflict, Missing, RetryLater


@pytest.fixture
def client(vault):
    return Vault(vault.address, vault.token_file)


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


@pytest.mark.timeout(20)
async def test_a_vault_that_is_gone_is_told_soon(free_port, vault):
    """
    Nobody waits long for a vault that does not listen.
    """
    gone = Vault(f"http://127.0.0.1:{free_port}", vault.token_file)
    with pytest.raises(RetryLater) as refused:
        await gone.read("kit/a")

    assert refused.value.reason == "VAULT_UNREACHABLE"


@pytest.mark.timeout(20)
async def test_a_vault_that_swallows_packets_is_told_soon(vault):
    """
    A vault that accepts connections and never answers is as good as gone.
    """
    async with await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(RetryLater):
            await Vault(f"http://127.0.0.1:{port}", vault.token_file).read("kit/a")


async def test_a_renewed_token_is_picked_up(vault, tmp_path):
    """
    When the token in the file has been renewed, the next call uses it.
    """
    token_file = tmp_path / "token"
    token_file.write_text("worn-out")
    client = Vault(vault.address, token_file)
    with pytest.raises(RetryLater, match="refuses"):
        await client.write("kit/d", {"key": "one"})
    token_file.write_text(vault.token)

    assert await client.write("kit/d", {"key": "one"}) == 1
