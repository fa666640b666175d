"""What every sandbox does around its routes."""

from datetime import timedelta

import httpx
import pytest
from isthmus.sdk.sandbox import Answer, Call, Faults, Misbehaviour, Refused, Sandbox, delete, get, post


class Shop(Sandbox):
    connector = "shop"

    def build(self):
        self.items = self.collection(
            "items", lambda number, chance: {"id": f"i{number}", "at": chance.random()}
        )

    def authenticate(self, call):
        if "authorization" not in call.headers:
            raise Refused(401, "Who are you?")

    @get("/items")
    def list_items(self, call: Call):
        return self.items.listed()[: call.number("limit", 10, 100)]

    @post("/items")
    def add_item(self, call: Call):
        return Answer(self.items.created(call.json), 201)

    @delete("/items/{id}")
    async def drop_item(self, call: Call):
        self.items.deleted(call.parts["id"])


@pytest.fixture
async def shop():
    made = Shop(size=3)
    async with (
        made.serving() as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "x"}) as client,
    ):
        made.client = client
        yield made


def test_the_same_seed_makes_the_same_records():
    """
    Another seed makes others.
    """
    first, again, other = Shop(size=5), Shop(size=5), Shop(size=5, seed=8)

    assert first.items.listed() == again.items.listed() != other.items.listed()


def test_the_same_seed_makes_the_same_faults():
    """
    Some requests go wrong, the same ones in every run; a level that there is not is refused.
    """
    first, again = _drawn(), _drawn()

    assert first == again
    assert {None} < set(first)
    with pytest.raises(ValueError, match="light"):
        Faults("medium")


def _drawn():
    faults = Faults("heavy", 3)
    return [faults.draw(changes=False) for _ in range(100)]


async def test_routes_answer_and_effects_are_noted(shop):
    """
    What comes over the API is an effect; what a test does is none.
    """
    shop.items.add()
    made = await shop.client.post("/items", json={"id": "new"})
    await shop.client.delete("/items/i1")

    assert made.status_code == 201
    assert [(one.verb, one.key) for one in shop.items.effects] == [("create", "new"), ("delete", "i1")]
    assert shop.items.gone_since(None) == ["i1"]


async def test_refusals_come_with_status_and_message(shop):
    """
    Unknown paths, parameters that are no numbers, bodies that are no JSON, and strangers.
    """
    shown = [
        await shop.client.get("/nothing"),
        await shop.client.get("/items?limit=many"),
        await shop.client.post("/items", content=b"{"),
        await shop.client.get("/items", headers={"authorization": ""}),
    ]

    assert [reply.status_code for reply in shown][:3] == [404, 400, 400]
    assert all(reply.json()["error"]["message"] for reply in shown[:3])


async def test_strangers_are_refused(shop):
    """
    Whoever does not prove who it is gets what the system says then.
    """
    async with httpx.AsyncClient(base_url=shop.client.base_url) as stranger:
        reply = await stranger.get("/items")

    assert reply.status_code == 401


@pytest.mark.parametrize("kind", list(Misbehaviour), ids=str)
async def test_misbehaviour_happens_once_and_as_told(shop, kind):
    """
    The next request goes wrong in that way, and the one behind it is answered.
    """
    shop.faults.next(kind)

    try:
        reply = await shop.client.post("/items", json={"id": "new"})
        went_wrong = reply.status_code >= 400 or not reply.headers["content-type"].startswith(
            "application/json"
        )
    except httpx.HTTPError:
        went_wrong = True

    assert went_wrong
    assert ("new" in shop.items) == (kind in {Misbehaviour.HALF_DONE, Misbehaviour.TRUNCATED})
    assert (await shop.client.get("/items")).status_code == 200


def test_changes_of_one_moment_share_their_stamp():
    """
    Otherwise every change has a moment of its own.
    """
    shop = Shop(size=0)
    with shop.items.at_one_moment():
        shop.items.add()
        shop.items.add()
    shop.clock.advance(timedelta(days=1))
    shop.items.add()

    assert len({record["updated_at"] for record in shop.items.listed()}) == 2
