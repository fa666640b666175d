"""A role changes its own password; two roles do so in turns, so that both passwords work for a while."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import psycopg
from isthmus.connectors.postgres.catalogue import Connection
from isthmus.connectors.postgres.failing import failure_of
from isthmus.sdk import (
    AuthenticationFailure,
    AuthMethod,
    ConfigurationFailure,
    Credential,
    Rotated,
    Rotation,
)
from psycopg import sql

Connect = Callable[[Credential], Awaitable[Connection]]
_SCRAM = b"scram-sha-256"


async def renew(connect: Connect, rotation: Rotation) -> Rotated:
    """Give the new role the new password; it has the old one until then.

    Where old and new role are the same, the old password ends with this.

    Raises:
        AuthenticationFailure: The database takes neither password.
        ConfigurationFailure: `PASSWORD_UNUSED`.
    """
    await _change(connect, rotation.new.username, rotation.old.password, rotation.new.password)
    return Rotated(overlaps=rotation.new.username != rotation.old.username)


async def retire(connect: Connect, rotation: Rotation) -> None:
    """Give the old role the password of the new one, by which the next rotation goes back to it.

    Raises:
        AuthenticationFailure: The database takes neither password.
    """
    if rotation.old.username != rotation.new.username:
        await _change(connect, rotation.old.username, rotation.old.password, rotation.new.password)


async def _change(connect: Connect, role: str, old: str, new: str) -> None:
    wanted = Credential(AuthMethod.BASIC, username=role, password=new)
    if await _is_let_in(connect, wanted):
        return
    try:
        connection = await connect(replace(wanted, password=old))
    except psycopg.Error as error:
        failure = failure_of(error)
        if isinstance(failure, AuthenticationFailure):
            message = (
                f"The database takes neither the old nor the new password of {role}: enter one that it "
                "takes; two roles that take turns have the same password to begin with."
            )
            raise AuthenticationFailure("AUTHENTICATION_FAILED", message) from None
        raise failure from None
    async with connection:
        # What travels, and what the server may log, is the verifier and not the password.
        verifier = connection.pgconn.encrypt_password(new.encode(), role.encode(), _SCRAM).decode()
        statement = sql.SQL("alter role current_user password {}").format(sql.Literal(verifier))
        await connection.execute(statement)
    if not await _is_let_in(connect, wanted):
        message = f"The database refuses the password that {role} has just been given; look at pg_hba.conf."
        raise AuthenticationFailure("AUTHENTICATION_FAILED", message)


async def _is_let_in(connect: Connect, credential: Credential) -> bool:
    try:
        connection = await connect(credential)
    except psycopg.Error as error:
        if isinstance(failure_of(error), AuthenticationFailure):
            return False
        raise
    async with connection:
        if not connection.pgconn.used_password:
            message = (
                f"The database lets {credential.username} in without asking for the password, so nobody can "
                "tell which one it has: have pg_hba.conf ask for scram-sha-256."
            )
            raise ConfigurationFailure("PASSWORD_UNUSED", message)
    return True


__all__ = ["renew", "retire"]
