"""The connector of the README that makes its own next key, run as written against a local server."""

import re
from pathlib import Path

import pytest
from isthmus.sdk import Api, AuthMethod, Connector, Credential, Failure, Rotated, Rotation
from isthmus.sdk.runtime import Capability, Session, spec_of
from isthmus.testing.http_server import Answer
from pydantic import BaseModel

OLD, MADE = Credential(AuthMethod.BEARER, secret="old-secret"), "made-secret"


class Settings(BaseModel):
    """Where the system is."""

    url: str


def _load():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    [code] = re.findall(r"```python\n(class Keys\(.+?)```", readme, re.DOTALL)
    names = {"Api": Api, "Connector": Connector, "Rotated": Rotated, "Rotation": Rotation}
    exec(code, {**names, "Settings": Settings, "__name__": __name__}, names)
    names["Keys"].allowed_hosts = ("{url}",)
    return names["Keys"]


Keys = _load()


@pytest.fixture
async def session(server):
    async with Session(Keys, {"url": server.url}, OLD) as opened:
        yield opened


async def test_the_readmes_connector_makes_a_key_and_ends_the_old_one(session, server):
    """
    What a lost answer has left goes first, and what is made already is made no more.
    """
    server.on("/keys", [{"id": "1"}, {"id": "2"}])
    server.on("/keys", {"id": "3", "secret": MADE}, "POST")
    server.on("/keys/*", lambda request: Answer(204), "DELETE")
    rotated = await session.rotate(Rotation(OLD, OLD, old_reference="1"))
    again = await session.rotate(Rotation(OLD, OLD, old_reference="1", new_reference="3"))
    await session.retire(Rotation(OLD, OLD, old_reference="1", new_reference="3"))

    assert (rotated.made, rotated.reference, again.made) == (MADE, "3", "")
    assert [one.path for one in server.requests if one.method == "DELETE"] == ["/keys/2", "/keys/1"]
    assert MADE not in repr(rotated)
    assert Capability.ROTATION in spec_of(Keys).capabilities


async def test_what_goes_wrong_in_a_rotation_tells_neither_secret(session, server):
    """
    Systems throw back what they were sent.
    """
    new = Credential(AuthMethod.BEARER, secret="new-secret")
    server.on("/keys", Answer(400, {"error": "old-secret is not new-secret"}))
    with pytest.raises(Failure) as caught:
        await session.rotate(Rotation(OLD, new))

    assert "-secret" not in caught.value.message
