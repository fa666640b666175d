"""Tables and queries of a PostgreSQL database, read and written."""
