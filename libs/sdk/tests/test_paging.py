"""Every way of paging against a server that has a known number of records."""

import pytest
from isthmus.sdk import Api, ConfigurationFailure, Credential, DataFailure
from isthmus.sdk.api import (
    CursorToken,
    DeltaLink,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    RangeHeader,
    SinglePage,
    records_of,
)
from isthmus.sdk.api.paging import link_of
from isthmus.sdk.context import PLACE, Context, Place
from isthmus.testing.http_server import Answer

SIZE = 3
PAGING = {
    "next_link": NextLink("paging.next"),
    "link_header": LinkHeader(),
    "cursor": CursorToken("after", "token"),
    "more": CursorToken("after", "token", more="more"),
    "posted": CursorToken("after", "token", in_body=True),
    "page": PageNumber(size=SIZE, size_param="limit"),
    "page_total": PageNumber(pages="pages", size=SIZE, size_param="limit"),
    "offset": Offset(size=SIZE, records="items"),
    "offset_total": Offset(size=SIZE, total="total", records="items"),
    "range": RangeHeader(size=SIZE),
}


@pytest.fixture
async def api(server):
    with Context().active():
        client = Api(server.url)
    yield client
    await client.close()


def place(request):
    """Where the request asks to start."""
    if "range" in request.headers:
        return int(request.headers["range"].removeprefix("items=").split("-")[0])
    if request.method == "POST":
        return int(request.json.get("after", 0)) if request.body else 0
    query = request.query
    return int(query.get("after", query.get("offset", (int(query.get("page", 1)) - 1) * SIZE)))


def handler(server, total):
    def answer(request):
        start = place(request)
        items = list(range(start, min(start + SIZE, total)))
        rest = start + SIZE < total
        link = f"{server.url}/items?after={start + SIZE}" if rest else None
        body = {
            "items": items,
            "paging": {"next": link},
            "token": str(start + SIZE) if rest else None,
            "more": rest,
            "pages": -(-total // SIZE),
            "total": total,
        }
        headers = {"link": f'<{link}>; rel="next", <x>; rel="first"'} if link else {}
        if "range" in request.headers:
            if not items:
                return Answer(416)
            headers["content-range"] = f"items {start}-{start + len(items) - 1}/{total}"
        return Answer(body=body, headers=headers)

    return answer


@pytest.mark.parametrize("total", [0, 1, SIZE, SIZE + 1, 3 * SIZE])
@pytest.mark.parametrize("kind", PAGING)
async def test_every_record_comes_exactly_once(server, api, kind, total):
    """
    Nothing, one, exactly a page, a page and one, several pages.
    """
    method = "POST" if kind == "posted" else "GET"
    server.on("/items", handler(server, total), method)

    pages = [body async for body in api.pages("/items", follow=PAGING[kind], method=method)]

    assert [record for body in pages for record in records_of(body, "items")] == list(range(total))


@pytest.mark.parametrize("kind", ["page", "offset", "offset_total"])
async def test_short_page_is_not_the_end(server, api, kind):
    """
    Systems that filter after cutting give short pages in the middle.
    """
    short = [[1, 2, 3], [4], [5, 6, 7], []]
    server.in_turn("/items", *({"items": items, "total": 7} for items in short))

    pages = [body async for body in api.pages("/items", follow=PAGING[kind])]

    assert [record for body in pages for record in body["items"]] == [1, 2, 3, 4, 5, 6, 7]


async def test_repeated_token_is_a_loop(server, api):
    """
    A page that leads back to itself fails instead of never ending.
    """
    server.on("/items", {"items": [1], "token": "same"})

    with pytest.raises(DataFailure, match="circle"):
        async for _ in api.pages("/items", follow=CursorToken("after", "token")):
            pass


async def test_next_link_to_another_host_is_refused(server, api):
    """
    A next link may not carry the credential away.
    """
    server.on("/items", {"items": [1], "next": "https://evil.example/items?page=2"})

    with pytest.raises(ConfigurationFailure, match="another host"):
        async for _ in api.pages("/items", follow="next"):
            pass


async def test_empty_pages_in_the_middle_are_passed(server, api):
    """
    With a token or a link, an empty page says nothing about the end.
    """
    pages = [{"items": [], "token": "a"}, {"items": [], "token": "b"}, {"items": [1]}]
    server.in_turn("/items", *pages)

    read = [body["items"] async for body in api.pages("/items", follow=CursorToken("after", "token"))]

    assert read == [[], [], [1]]


async def test_unchanged_page_is_not_read_again(server, api):
    """
    The entity tag is kept, and 304 gives no page.
    """
    server.on(
        "/items",
        lambda r: (
            304 if r.headers.get("if-none-match") == '"v1"' else Answer(body=[1], headers={"etag": '"v1"'})
        ),
    )
    state = {}

    first = [body async for body in api.pages("/items", state=state, follow=SinglePage())]
    second = [body async for body in api.pages("/items", state=state, follow=SinglePage())]

    assert (first, second, state) == ([[1]], [], {"etag": '"v1"'})
    assert api.context.stats.not_modified


async def test_change_token_is_kept_and_forgotten_tokens_start_afresh(server, api):
    """
    The next reading starts at the token; 410 leads to a complete reading.
    """
    server.on("/items", {"items": [1], "@odata.deltaLink": f"{server.url}/delta?t=2"})
    server.in_turn("/delta", {"items": [2], "@odata.deltaLink": f"{server.url}/delta?t=3"}, 410)
    state = {}

    reads = [
        [b["items"] async for b in api.pages("/items", state=state, follow=DeltaLink())] for _ in range(3)
    ]

    assert reads == [[[1]], [[2]], [[1]]]


async def test_query_goes_with_every_page(server, api):
    """
    Filters stay while the page number grows.
    """
    server.in_turn("/items", [1], [])
    _ = [
        b
        async for b in api.pages("/items", follow=PageNumber(), since="2026", params={"q": "x", "none": None})
    ]

    assert [r.query for r in server.requests] == [
        {"since": "2026", "q": "x", "page": "1"},
        {"since": "2026", "q": "x", "page": "2"},
    ]


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<https://a/b?c=1,2>; rel="next"', "https://a/b?c=1,2"),
        ('<a>; rel=prev, <b>; title="x, y"; REL=next', "b"),
        ('<a>; rel="prev first"', ""),
        ("", ""),
        ('<b>; rel="last next"', "b"),
    ],
)
def test_link_header_in_all_spellings(header, link):
    """
    Commas in addresses, several relations, unquoted words.
    """
    assert link_of(header, "next") == link


@pytest.mark.parametrize("link", ["/api/items?page=2", "?page=2", "items?page=2", "{url}/api/items?page=2"])
async def test_links_may_be_relative(server, link):
    """
    A link is resolved against what was asked for, as RFC 3986 says.
    """
    with Context().active():
        api = Api(f"{server.url}/api")
    pages = {"": {"items": [1], "next": link.format(url=server.url)}, "2": {"items": [2]}}
    server.on("/api/items", lambda request: pages[request.query.get("page", "")])

    assert [body["items"] async for body in api.pages("/items", follow="next")] == [[1], [2]]


async def test_key_in_a_next_link_stays_out_of_the_position(server):
    """
    Systems that repeat the key in their links do not get it into what is stored.
    """
    place = Place()
    context = Context(credential=Credential("api_key", "k3y-secret", query_param="key"))
    with context.active():
        api = Api(server.url)
    server.on(
        "/items",
        lambda r: {"next": None if "page" in r.query else f"{server.url}/items?page=2&key=k3y-secret"},
    )
    token = PLACE.set(place)
    try:
        _ = [body async for body in api.pages("/items", follow="next") if "k3y" in str(place.at)]
    finally:
        PLACE.reset(token)

    assert [request.query["key"] for request in server.requests] == ["k3y-secret"] * 2
    assert "k3y" not in str(place.at)
