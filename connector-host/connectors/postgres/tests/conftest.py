from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from isthmus.connectors.postgres import Postgres
from isthmus.sdk import AuthMethod, Credential
from isthmus.sdk.runtime import Session


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
        return Session(Postgres, {**reach, **(configuration or {})}, credential, **how)

    return open_
