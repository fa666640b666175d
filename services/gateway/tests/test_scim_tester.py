"""The public tester of SCIM servers, and bodies at which no server should fail."""

import asyncio

import httpx
import pytest
from scim2_client import BaseSyncSCIMClient
from scim2_tester import Status, check_server


class Client(BaseSyncSCIMClient):
    """Lets the tester speak by the HTTP client that is here."""

    def __init__(self, http):
        super().__init__()
        self.http = http

    def request(self, method, url, **options):
        return self.http.request(method, url, **options)

    def _stays_under_base_url(self, _):
        return True

    def _parse_json(self, response):
        return response.json()


async def test_the_tester_of_scim2_finds_nothing_wrong(place):
    """
    Every check of scim2-tester succeeds, but for what the server says that it does not offer.
    """
    tenant = await place.tenant()
    headers = {"authorization": f"Bearer {tenant.key}"}
    with httpx.Client(base_url=f"{place.url}/scim/v2", headers=headers, timeout=60) as http:
        results = await asyncio.to_thread(check_server, Client(http))

    left_out = {one.title for one in results if one.status is Status.SKIPPED}
    wrong = [one.reason for one in results if one.status not in {Status.SUCCESS, Status.SKIPPED}]
    assert not wrong
    assert len(results) > 100
    assert left_out <= {"search_with_attributes"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"[]",
        b'"x"',
        b'{"userName": "a\\u0000b"}',
        b'{"userName": "\\ud800"}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=["empty", "junk", "list", "text", "nul", "surrogate", "deep", "bytes"],
)
async def test_a_body_that_is_no_document_is_refused(place, content):
    """
    Nothing that arrives as a body makes anything fail.
    """
    tenant = await place.tenant()

    answer = await tenant.http.post("/Users", content=content)

    assert (answer.status_code, answer.json()["status"]) == (400, "400")
