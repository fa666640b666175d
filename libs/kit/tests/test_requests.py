import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.kit import Page, PageRequest, check_etag, encode_token, new_id, once
from isthmus.kit.paging import fitting
from isthmus.kit.principal import Principal, acting_as
from isthmus.kit.validation import validating
from isthmus.resilience import faults
from sqlalchemy import text

OWNER = Principal("usr_1", "tnt_a", frozenset({"*"}), "user")


class Service:
    """Creates tenants, once per request id."""

    def __init__(self, db):
        self.db = db
        self.created = 0

    async def create(self, request, fail=False):
        async def produce():
            self.created += 1
            if fail:
                raise ValueError("no")
            return pb.BootstrapResponse(tenant=pb.Tenant(tenant_id=f"tnt_{self.created}"), api_key="hunter2")

        with acting_as(OWNER):
            async with self.db.tenant("tnt_a") as conn:
                return await once(conn, "Create", request, produce, pb.BootstrapResponse)


@pytest.fixture
def service(db):
    return Service(db)


def request(name="a", request_id="r1"):
    return pb.CreateTenantRequest(name=name, request_id=request_id)


async def test_repeated_request_gets_the_first_answer_without_secrets(service):
    """
    Repeating a request id gives the first answer, and its secret is shown once only.
    """
    first = await service.create(request())
    again = await service.create(request())

    assert again.tenant == first.tenant
    assert (first.api_key, again.api_key, service.created) == ("hunter2", "", 1)


async def test_secret_of_an_answer_is_not_stored(service):
    """
    The table of answers never holds a marked field.
    """
    await service.create(request())
    async with service.db.system() as conn:
        stored = (await conn.execute(text("SELECT response FROM idempotency"))).scalar_one()

    assert b"hunter2" not in bytes(stored)


async def test_request_id_belongs_to_one_request(service):
    """
    The same id for another request is a conflict.
    """
    await service.create(request("a"))

    with pytest.raises(faults.Conflict) as caught:
        await service.create(request("b"))
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_an_answer_that_was_erased_is_not_made_up(service):
    """
    Who repeats the request is told so, and nothing is done a second time.
    """
    await service.create(request())
    async with service.db.system() as conn:
        await conn.execute(text("UPDATE idempotency SET response = NULL"))

    with pytest.raises(faults.Precondition) as caught:
        await service.create(request())
    assert (caught.value.reason, service.created) == ("ANSWER_ERASED", 1)


async def test_request_without_id_is_never_repeated(service):
    """
    An empty request id means that each call is a new one.
    """
    await service.create(request(request_id=""))
    await service.create(request(request_id=""))

    assert service.created == 2


async def test_failed_request_may_be_repeated(service):
    """
    A failure is not remembered.
    """
    with pytest.raises(ValueError, match="no"):
        await service.create(request(), fail=True)

    assert (await service.create(request())).api_key == "hunter2"


async def test_simultaneous_requests_are_one(service):
    """
    Of equal requests at the same moment one does the work, the others wait for its answer.
    """
    answers = await asyncio.gather(*(service.create(request()) for _ in range(5)))

    assert service.created == 1
    assert {answer.tenant.tenant_id for answer in answers} == {"tnt_1"}


def test_etag():
    """
    An update passes with the present etag or with none.
    """
    check_etag("3", 3)
    check_etag("", 3)

    with pytest.raises(faults.Conflict) as caught:
        check_etag("2", 3)
    assert (caught.value.reason, caught.value.path) == ("ETAG_MISMATCH", "etag")


@given(after=st.dictionaries(st.text("abc", min_size=1), st.text("äbc_-1") | st.integers(-9, 9), min_size=1))
def test_page_tokens_come_back(after):
    """
    A token resumes exactly where it was made.
    """
    assert PageRequest.parse(0, encode_token(after)).after == after


@given(token=st.text(min_size=1, max_size=60) | st.binary(min_size=1, max_size=60).map(lambda raw: raw.hex()))
def test_forged_page_tokens_are_refused(token):
    """
    Any other text is refused as an invalid token, and nothing worse happens.
    """
    with pytest.raises(faults.FixRequest) as caught:
        PageRequest.parse(0, token)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    "after", [[1], {}, {"a": 1 << 70}, {"a": "x\0"}, {"a": {}}, {"a": float("nan")}, {"b": 1}]
)
def test_tokens_with_odd_content_are_refused(after):
    """
    A token that decodes but was not made by this list is refused as well.
    """
    with pytest.raises(faults.FixRequest):
        PageRequest.parse(0, _forge(after), keys=["a"])


def _forge(after):
    import base64

    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (1000, 1000), (5000, 1000)])
def test_page_size(asked, given_):
    """
    No size means the default, and a thousand is the most.
    """
    assert PageRequest.parse(asked, "").size == given_


def test_negative_page_size_is_refused():
    """
    A page cannot be smaller than nothing.
    """
    with pytest.raises(faults.FixRequest):
        PageRequest.parse(-1, "")


@given(total=st.integers(0, 40), size=st.integers(1, 10))
def test_pages_cover_the_list_once(total, size):
    """
    Following the tokens shows every row exactly once.
    """
    rows, seen, token = list(range(total)), [], ""
    while True:
        page_request = PageRequest.parse(size, token)
        start = 0 if page_request.after is None else page_request.after["n"] + 1
        page = Page.of(rows[start : start + size + 1], page_request, lambda row: {"n": row})
        seen.extend(page.items)
        token = page.next_token
        if not token:
            break

    assert seen == rows


async def test_ids_sort_by_time():
    """
    Ids of one kind sort in the order in which they were made, to the millisecond.
    """
    first = new_id("ins")
    await asyncio.sleep(0.002)

    assert first < new_id("ins")
    assert len(first) == 30


def test_everything_wrong_is_told_at_once():
    """
    A request with three faults is refused once, naming all three.
    """

    def check_all():
        with validating() as check:
            check.text("name", " ")
            check.enum("mode", 0)
            check.json("definition", '{"a": ')
            check.text("fine", "fine")

    with pytest.raises(faults.FixRequest) as caught:
        check_all()

    assert [(v.path, v.reason) for v in caught.value.violations] == [
        ("name", "REQUIRED"),
        ("mode", "REQUIRED"),
        ("definition", "JSON_INVALID"),
    ]


WRONG_JSON = ["[]", "1", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\u0000"}', '{"a": "\\ud800"}']


@pytest.mark.parametrize(
    "document", [*WRONG_JSON, b"\xff", '{"a":' * 2000 + "1" + "}" * 2000, '{"\\u0000": 1}']
)
def test_json_that_cannot_be_stored_is_refused(document):
    """
    What PostgreSQL would refuse is refused before, with the field's path.
    """
    with pytest.raises(faults.FixRequest) as caught, validating() as check:
        check.json("config", document)

    assert caught.value.path == "config"


def test_json_that_can_be_stored_is_returned():
    """
    A good document comes back parsed.
    """
    with validating() as check:
        document = check.json("config", '{"a": [1, "ü", null, 1.5]}')

    assert document == {"a": [1, "ü", None, 1.5]}


@pytest.mark.parametrize(
    ("sizes", "asked", "shown"),
    [([10] * 5, 3, 3), ([10] * 2, 3, 2), ([1_500_000] * 4, 3, 1), ([3_000_000, 1], 5, 1), ([], 5, 0)],
)
def test_a_page_is_cut_to_what_fits_one_answer(sizes, asked, shown):
    """
    Large messages end a page early, and one is always shown.
    """
    messages = [pb.Tenant(name="x" * size) for size in sizes]

    assert fitting(messages, asked) == messages[:shown]


@pytest.mark.parametrize(
    "forged", [{"id": 7}, {"id": None}, {"id": True}, {"version": "7"}, {"version": 7.0}]
)
def test_a_page_token_with_a_value_of_another_type_is_refused(forged):
    """
    What the database would compare a text column with has to be a text.
    """
    keys = ["id"] if "id" in forged else {"version": int}

    with pytest.raises(faults.FixRequest) as refused:
        PageRequest.parse(0, encode_token(forged), keys=keys)

    assert refused.value.reason == "PAGE_TOKEN_INVALID"
