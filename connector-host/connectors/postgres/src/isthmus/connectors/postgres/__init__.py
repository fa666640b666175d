"""Tables and queries of a PostgreSQL database, read and written."""

from isthmus.connectors.postgres.connector import Postgres

__all__ = ["Postgres"]
