import pytest
from isthmus.sdk import Api
from isthmus.testing.http_server import HttpServer


@pytest.fixture
async def server(monkeypatch):
    """Gives a server, and closes clients that a test has made by hand; a session closes its own."""
    made = []
    begin = Api.__init__

    def noted(api, *arguments, **more):
        begin(api, *arguments, **more)
        made.append(api)

    monkeypatch.setattr(Api, "__init__", noted)
    async with HttpServer() as running:
        yield running
        for api in made:
            await api.close()
