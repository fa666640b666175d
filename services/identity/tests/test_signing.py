"""The keys that sign access tokens, where the vault takes none."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from isthmus.kit import Clock
from isthmus.kit.vault.environment import EnvironmentShelf
from isthmus.resilience.faults import Precondition
from isthmus.services.identity.signing import SigningKeys, header_of, with_new_key


class Outside(EnvironmentShelf):
    """Secrets from the environment, and the lock of one replica."""

    def __init__(self, variables):
        super().__init__(variables)
        self.exclusive = lambda purpose: nullcontext()

    async def read(self, path):
        return await self.version(f"isthmus/identity/{path}", 1)

    async def write(self, path, data):
        return await self.add(f"isthmus/identity/{path}", data, None)


async def test_where_secrets_are_given_from_outside_an_old_key_goes_on_signing_and_says_what_to_do():
    """
    What is asked for explicitly names the variable; a second key in it signs, and the first still verifies.
    """
    long_ago, variable = datetime.now(UTC) - timedelta(days=99), "ISTHMUS_SECRET_IDENTITY__SIGNING_KEYS"
    first = with_new_key({}, long_ago)
    more = with_new_key(first, datetime.now(UTC))
    times = {"token_life": timedelta(minutes=10), "rotate_after": timedelta(days=30)}

    def keys(document):
        outside = Outside({variable: json.dumps(document)})
        return SigningKeys(outside, outside, "signing-keys", Clock(), **times)

    old, new = keys(first), keys(more)
    token = await old.sign({"sub": "usr_1"})
    with pytest.raises(Precondition, match=variable) as caught:
        await old.rotate()

    assert "isthmus secrets signing-key" in caught.value.message
    assert (await new.verify(token))["sub"] == "usr_1"
    assert header_of(await new.sign({}))["kid"] != header_of(token)["kid"]
