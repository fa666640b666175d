"""What the runtime makes of pages: keys, rejects, positions."""

from typing import ClassVar

import pytest
from isthmus.sdk import (
    Api,
    Connector,
    DataFailure,
    Fatal,
    NotFound,
    Page,
    ReadReject,
    Secret,
    TransientFailure,
    source,
)
from isthmus.sdk.runtime import Operation, Position, ReadMode, Session
from pydantic import BaseModel


class Settings(BaseModel):
    url: str = "http://127.0.0.1:1"
    token: Secret = Secret("t0p-s3cret")


class Item(BaseModel):
    id: int
    changed: str = ""


class Shop(Connector[Settings]):
    """A connector whose pages each test sets."""

    allowed_hosts: ClassVar = ("{url}",)
    pages: ClassVar[list] = []
    seen: ClassVar[list] = []

    def open(self):
        self.api = Api(self.settings.url)

    @source(key="id", cursor="changed")
    async def ordered(self, since):
        """Oldest change first."""
        self.seen.append(since)
        for page in self.pages:
            yield raised(page)

    @source(key="id", cursor="changed", ordered=False)
    async def unordered(self, since: str | None):
        """In no order."""
        self.seen.append(since)
        for page in self.pages:
            yield raised(page)

    @source(key=("id", "part.no"))
    async def resumable(self, resume):
        """Keeps its own place."""
        for number in range(resume["at"] if resume else 0, len(self.pages)):
            yield Page(self.pages[number], resume={"at": number + 1})

    @source(key="id")
    async def remembering(self, state):
        """Keeps a token from one complete reading to the next."""
        self.seen.append(dict(state))
        state["token"] = state.get("token", 0) + 1
        for page in self.pages:
            yield raised(page)

    @source(key="id")
    async def halves(self):
        """Gives two pages for each body."""
        async for body in self.api.pages("/items", follow="next"):
            yield Page(body["items"][:1])
            yield Page(body["items"][1:])

    @source(key="id")
    async def nested(self):
        """Reads children of each parent."""
        async for body in self.api.pages("/parents", follow="next"):
            for parent in body["items"]:
                async for children in self.api.pages(f"/children/{parent}", follow="next"):
                    yield Page(children["items"])


def raised(page):
    if isinstance(page, Exception):
        raise page
    return page if isinstance(page, Page) else Page(page)


@pytest.fixture(autouse=True)
def _fresh():
    Shop.pages, Shop.seen = [], []


async def read(stream, position=None, mode=ReadMode.INCREMENTAL, url="http://127.0.0.1:1", **how):
    async with Session(Shop, {"url": url}) as session:
        if mode not in (await session.stream(stream)).read_modes:
            mode = ReadMode.FULL
        return [page async for page in await session.read(stream, position=position, mode=mode, **how)]


def keys(pages):
    return [key for page in pages for key in page.keys]


async def test_record_without_its_key_is_rejected_alone():
    """
    The others of the page go on; the reject carries the record and the field.
    """
    Shop.pages = [[{"id": 1, "changed": "a"}, {"changed": "b"}, {"id": 3, "changed": "c"}]]

    pages = await read("ordered")

    assert keys(pages) == ["1", "3"]
    assert pages[0].rejected == [
        ReadReject({"changed": "b"}, "KEY_MISSING", pages[0].rejected[0].message, "id"),
    ]


async def test_keys_of_several_parts_are_joined():
    """
    Parts may be nested; U+001F stands between them.
    """
    Shop.pages = [[{"id": "a", "part": {"no": 7}}]]

    assert keys(await read("resumable")) == ["a\u001f7"]


async def test_own_place_is_kept():
    """
    What the connector gave as `resume` comes back to it.
    """
    Shop.pages = [[{"id": n, "part": {"no": 0}}] for n in range(3)]
    pages = await read("resumable")

    assert keys(await read("resumable", pages[0].position)) == ["1\u001f0", "2\u001f0"]


async def test_ordered_cursor_moves_with_every_page():
    """
    A reading that stopped goes on at the greatest value of the last page, inclusive.
    """
    Shop.pages = [
        [{"id": 1, "changed": "2026-01-01T00:00:00Z"}],
        [{"id": 2, "changed": "2026-01-02T00:00:00.5Z"}],
    ]
    pages = await read("ordered")
    await read("ordered", pages[0].position)

    assert Shop.seen == [None, "2026-01-01T00:00:00Z"]
    assert pages[-1].position.state["cursor"] == "2026-01-02T00:00:00.5Z"


async def test_unordered_cursor_moves_at_the_end_only():
    """
    Until everything was read the start stays where it was.
    """
    Shop.pages = [[{"id": 1, "changed": "9"}], [{"id": 2, "changed": "10"}]]
    pages = await read("unordered")
    await read("unordered", pages[0].position)
    await read("unordered", pages[-1].position)

    assert Shop.seen == [None, None, "10"]


async def test_state_is_kept_only_by_a_complete_reading():
    """
    A token of a reading that did not end would hide what it did not give.
    """
    Shop.pages = [[{"id": 1}], [{"id": 2}]]
    pages = await read("remembering")
    Shop.seen.clear()
    await read("remembering", pages[0].position)
    await read("remembering", pages[-1].position)

    assert Shop.seen == [{}, {"token": 1}]


async def test_full_mode_starts_afresh_after_a_complete_reading():
    """
    A position behind the end means the beginning; one in the middle is honoured.
    """
    Shop.pages = [[{"id": 1, "changed": "1"}], [{"id": 2, "changed": "2"}]]
    pages = await read("ordered", mode=ReadMode.FULL)
    await read("ordered", pages[0].position, mode=ReadMode.FULL)
    await read("ordered", pages[-1].position, mode=ReadMode.FULL)

    assert Shop.seen == [None, "1", None]


async def test_position_survives_the_wire():
    """
    What travels as bytes reads back equal.
    """
    Shop.pages = [[{"id": 1, "changed": "1"}]]
    position = (await read("ordered"))[-1].position

    assert Position.decode(position.encode(), position.schema_version, position.summary) == position


async def test_damaged_position_is_refused():
    """
    A position that nobody wrote is not taken for the beginning.
    """
    with pytest.raises(Exception, match="reset the flow"):
        Position.decode(b"\x00garbage")


async def test_deletions_travel_with_their_keys():
    """
    Deleted records follow the others and say so.
    """
    Shop.pages = [Page([{"id": 1}], deleted=[{"id": 2}])]

    page = (await read("ordered"))[0]

    assert (page.keys, page.operations) == (["1", "2"], [Operation.UPSERT, Operation.DELETE])


async def test_pages_before_a_failure_stay_good():
    """
    The failure comes after what was read, typed and without texts of the exception.
    """
    Shop.pages = [[{"id": 1}], RuntimeError("boom t0p-s3cret")]
    async with Session(Shop, {}) as session:
        reading = await session.read("ordered")
        first = await anext(reading)
        with pytest.raises(TransientFailure) as raised:
            await anext(reading)

    assert first.keys == ["1"]
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "failure"),
    [(KeyError("x"), DataFailure), (TypeError("x"), Fatal), (OSError("x"), TransientFailure)],
)
async def test_unknown_exceptions_are_classified(error, failure):
    """
    A missing field is data, a wrong type is a defect, a lost connection passes.
    """
    Shop.pages = [error]

    with pytest.raises(failure):
        await read("ordered")


async def test_secret_in_a_failure_is_starred():
    """
    Even a typed failure of the author's own may not tell a secret.
    """
    Shop.pages = [NotFound("GONE", "nothing under t0p-s3cret")]

    with pytest.raises(NotFound, match=r"nothing under \*{8}"):
        await read("ordered")


async def test_limit_cuts_without_moving_the_position():
    """
    A sample is a sample: going on from it loses nothing.
    """
    Shop.pages = [[{"id": n, "changed": str(n)} for n in range(10)]]

    pages = await read("ordered", limit=3)

    assert keys(pages) == ["0", "1", "2"]
    assert pages[-1].position.state == {}


async def test_items_that_do_not_fit_the_model_are_rejected_one_by_one():
    """
    `Page.parse` keeps the good ones.
    """
    page = Page.parse(Item, [{"id": 1}, {"id": "x"}, {"id": 3}])

    assert [item.id for item in page.records] == [1, 3]
    assert [(reject.path, reject.record) for reject in page.rejected] == [("id", {"id": "x"})]


def linked(server, path, *pages):
    for number, items in enumerate(pages):
        link = f"{server.url}{path}-{number + 1}" if number + 1 < len(pages) else None
        server.on(path if not number else f"{path}-{number}", {"items": items, "next": link})


@pytest.mark.parametrize("stop", range(4))
async def test_two_pages_of_one_body_are_both_kept(server, stop):
    """
    A position between them leads back to the body, so that the second half is not lost.
    """
    linked(server, "/items", [{"id": 1}, {"id": 2}], [{"id": 3}, {"id": 4}])
    pages = await read("halves", url=server.url)

    rest = await read("halves", pages[stop].position, url=server.url)

    given = keys(pages[: stop + 1]) + keys(rest)
    assert sorted(set(given)) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("stop", range(5))
async def test_nested_paging_loses_nothing(server, stop):
    """
    The outermost paging leads; children of a page in hand are read again rather than lost.
    """
    linked(server, "/parents", ["a", "b"], ["c"])
    linked(server, "/children/a", [{"id": 1}], [{"id": 2}])
    linked(server, "/children/b", [{"id": 3}])
    linked(server, "/children/c", [{"id": 4}], [{"id": 5}])
    pages = await read("nested", url=server.url)

    rest = await read("nested", pages[stop].position, url=server.url)

    assert sorted(set(keys(pages[: stop + 1]) + keys(rest))) == ["1", "2", "3", "4", "5"]


async def test_unknown_stream_lists_the_known_ones():
    """
    The remedy is in the message.
    """
    with pytest.raises(NotFound, match="halves, nested"):
        await read("nothing")
