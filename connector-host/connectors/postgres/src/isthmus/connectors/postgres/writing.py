"""Batches into a table: one transaction holds the rows and the position that covers them."""

from typing import Any

from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.copying import Copying
from isthmus.connectors.postgres.thorough import write_thoroughly
from isthmus.sdk import Batch


async def write(connection: Connection, relation: Relation, batch: Batch[Any], copying: Copying) -> None:
    """Applies a batch and remembers it; a batch that comes again takes no effect.

    Rows are copied as they come where that ends as a look at each of them would.

    Raises:
        Fenced: a newer attempt has written this flow.
        ConfigurationFailure: the table cannot be written by this key.
    """
    if not await copying.write(connection, relation, batch):
        await write_thoroughly(connection, relation, batch)


__all__ = ["write"]
