import pytest
from isthmus.testing.http_server import HttpServer


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running
