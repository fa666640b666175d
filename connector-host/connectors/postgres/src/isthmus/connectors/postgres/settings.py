"""How to reach one database, and what to read and write there."""

from typing import Annotated, Literal

from isthmus.sdk import FieldClasses
from pydantic import BaseModel, ConfigDict, Field

Evolve = Literal["refuse", "add", "drop"]
Identifier = Annotated[str, Field(min_length=1, max_length=63)]


class Query(BaseModel):
    """A SELECT whose rows are a stream."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="The stream's name.")
    sql: str = Field(min_length=1, description="One SELECT without parameters; runs read-only.")
    key: list[Identifier] = Field(
        default_factory=list,
        description="Columns that identify a row; without them a broken reading restarts.",
    )
    cursor: str = Field(default="", description="Column that grows with every change.")


class Table(BaseModel):
    """A table to read or write beyond those that are found by themselves."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="`table` or `schema.table`; also the stream's name.", examples=["app.tickets"]
    )
    key: list[Identifier] = Field(
        default_factory=list, description="Columns that identify a row; the primary key when empty."
    )
    cursor: str = Field(default="", description="Column that grows with every change.")
    create: bool = Field(default=False, description="Create the table at the first write; needs `key`.")
    evolve: Evolve | None = Field(default=None, description="As for the instance, for this table alone.")


class Settings(BaseModel):
    """How to reach one PostgreSQL database. User and password come from a basic credential."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        pattern=r"^[A-Za-z0-9.:_-]+$",
        description="Host name or address; no socket, which would log in as the operating system user.",
        examples=["db.example"],
    )
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = Field(min_length=1, description="Name of the database.")
    sslmode: Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="",
        description="How much TLS is wanted, as libpq defines it; by default verify-full, and prefer on the "
        "loopback address.",
    )
    authorities: str = Field(
        default="",
        max_length=200_000,
        description="Certificates in PEM of the authorities that vouch for the server, in place of those "
        "that are known to everybody.",
    )
    schemas: list[Identifier] = Field(
        default_factory=lambda: ["public"], description="Schemas whose tables become streams."
    )
    tables: list[Table] = Field(default_factory=list, description="Tables with settings of their own.")
    queries: list[Query] = Field(default_factory=list, description="Queries that become streams.")
    evolve: Evolve = Field(
        default="refuse",
        description="Fields for which a table has no column: refuse such records, add the column (and widen "
        "those that values do not fit), or drop the field.",
    )
    page_rows: int = Field(default=1000, ge=1, le=10_000, description="Rows in one page.")
    partition_rows: int = Field(
        default=200_000,
        ge=0,
        description="A table with so many rows is read in parts, side by side, when it is read in full; "
        "0 reads every table in one.",
    )
    statement_timeout_seconds: int = Field(default=60, ge=1, le=3600, description="Longest single statement.")
    classes: FieldClasses = Field(
        default_factory=FieldClasses, description="How sensitive the fields of the streams are."
    )


__all__ = ["Query", "Settings", "Table"]
