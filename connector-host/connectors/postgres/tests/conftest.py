from urllib.parse import unquote, urlsplit

import msgspec
import psycopg
import pytest
from isthmus.connectors.postgres import Postgres
from isthmus.sdk import AuthMethod, Credential, Lines
from isthmus.sdk.runtime import Documents, Session


class HostSession(Session):
    """A session that gets records as a host gives them: as the documents that arrived."""

    async def write(self, stream, records, *more, **options):
        if not isinstance(records, Lines):
            records = Documents(map(msgspec.json.encode, records))
        return await super().write(stream, records, *more, **options)


@pytest.fixture
def sql(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection.execute


@pytest.fixture
def opened(database):
    place = urlsplit(database)
    reach = {"host": place.hostname, "port": place.port, "database": place.path.strip("/")}
    credential = Credential(
        method=AuthMethod.BASIC, username=unquote(place.username), password=unquote(place.password or "")
    )

    def open_(configuration=None, credential=credential, **how):
        return HostSession(Postgres, {**reach, **(configuration or {})}, credential, **how)

    return open_
