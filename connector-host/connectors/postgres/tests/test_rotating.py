"""Passwords that roles change themselves, on a real PostgreSQL."""

from dataclasses import replace

import psycopg
import pytest
from isthmus.sdk import AuthenticationFailure, AuthMethod, Credential, Rotation

OLD, NEW = "old-password", "new'password"


@pytest.fixture
def roles(sql):
    """Two roles with one password, gone after the test: roles belong to the whole server."""
    names = ("isthmus_blue", "isthmus_green")
    for name in names:
        sql(f"create role {name} login password '{OLD}'")
    yield [Credential(AuthMethod.BASIC, username=name, password=OLD) for name in names]
    for name in names:
        sql(f"drop role {name}")


@pytest.fixture
def takes(database):
    """Tells whether the database takes a password."""

    def tried(credential, password):
        try:
            psycopg.connect(database, user=credential.username, password=password).close()
        except psycopg.OperationalError:
            return False
        return True

    return tried


async def test_a_role_changes_its_own_password(opened, roles, takes, sql):
    """
    Repeating it changes nothing, and the server never learns the password itself.
    """
    blue = roles[0]
    rotation = Rotation(blue, replace(blue, password=NEW))
    async with opened(credential=blue) as session:
        first = await session.rotate(rotation)
        again = await session.rotate(rotation)
        await session.retire(rotation)

    stored = sql("select rolpassword from pg_authid where rolname = 'isthmus_blue'").fetchone()[0]
    assert (first.overlaps, again, first.made) == (False, first, "")
    assert (takes(blue, OLD), takes(blue, NEW)) == (False, True)
    assert stored.startswith("SCRAM-SHA-256$")


async def test_two_roles_take_turns_and_both_passwords_work_until_the_old_one_is_retired(
    opened, roles, takes
):
    """
    Afterwards both have the same password, so that the next rotation can go back.
    """
    blue, green = roles
    rotation = Rotation(blue, replace(green, password=NEW))
    async with opened(credential=blue) as session:
        rotated = await session.rotate(rotation)
        during = [takes(blue, OLD), takes(green, NEW)]
        await session.retire(rotation)
        await session.retire(rotation)

    assert rotated.overlaps
    assert during == [True, True]
    assert [takes(blue, OLD), takes(blue, NEW), takes(green, NEW)] == [False, True, True]


async def test_a_database_that_takes_neither_password_says_what_to_do(opened, roles):
    """
    The second role was made with a password of its own.
    """
    blue = roles[0]
    rotation = Rotation(replace(blue, password="wrong"), replace(blue, password=NEW))
    async with opened(credential=blue) as session:
        with pytest.raises(AuthenticationFailure, match="neither the old nor the new password") as caught:
            await session.rotate(rotation)

    assert NEW not in caught.value.message
