"""Turns whatever a connector raises into one typed failure without secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from isthmus.sdk.connector import Connector
from isthmus.sdk.context import WORK, Context, Work
from isthmus.sdk.failures import Failure


async def failure_from(connector: Connector[Any], context: Context, error: Exception) -> Failure:
    """The failure that the connector makes of an exception; its message holds no secret."""
    failure = await connector.handle_error(error)
    clean = context.redact(failure.message)
    if clean != failure.message:
        failure.message = clean
        failure.args = (clean,)
    return failure


@asynccontextmanager
async def failing(
    connector: Connector[Any], context: Context, work: Work | None = None
) -> AsyncIterator[None]:
    """Runs the connector's code; everything it raises comes out as a failure.

    The original exception is not chained, because its text may quote records or secrets.
    """
    token = WORK.set(work)
    try:
        with context.active():
            yield
    except Exception as error:
        raise await failure_from(connector, context, error) from None
    finally:
        WORK.reset(token)
