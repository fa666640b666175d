"""Which files a connection reads and writes."""

from pathlib import PurePosixPath
from typing import Literal

from isthmus.sdk import FieldClasses
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Format = Literal["json", "jsonl", "csv"]
_SUFFIXES: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".log": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}


class StreamSettings(BaseModel):
    """One kind of record, in one file or in several of the same form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")
    description: str = ""
    path: str = Field(
        min_length=1,
        description="Below the allowed folder; `*` and `**` name several files, to read from only.",
    )
    format: Literal["auto", "json", "jsonl", "csv"] = Field(
        "auto", description="By default told by the suffix."
    )
    key: tuple[str, ...] = Field((), description="Dotted paths of the fields that identify a record.")
    records_path: str = Field("", description="JSON only: dotted path of the records in the document.")
    delimiter: str = Field("", max_length=1, description="CSV only: empty tells it from the header.")
    columns: tuple[str, ...] = Field(
        (), description="CSV only: the columns to write; empty takes what comes."
    )
    place_fields: bool = Field(False, description="Add _file and _line, for records without an identity.")
    range_field: str = Field(
        "", description="Dotted path of a record's time, for backfills of a span of time."
    )
    page_records: int = Field(1000, ge=1, le=10_000, description="Records of one checkpoint.")

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if path.startswith(("/", "~")) or ".." in parts or "\0" in path:
            raise ValueError("the path is relative to the allowed folder and stays below it")
        return path

    @model_validator(mode="after")
    def _form_is_known(self) -> "StreamSettings":
        if self.format == "auto" and PurePosixPath(self.path).suffix.lower() not in _SUFFIXES:
            raise ValueError("the suffix does not tell the format; set format to json, jsonl or csv")
        return self

    @property
    def form(self) -> Format:
        """The format, told or known by the suffix."""
        return _SUFFIXES[PurePosixPath(self.path).suffix.lower()] if self.format == "auto" else self.format

    @property
    def several(self) -> bool:
        """Whether the path is a pattern."""
        return any(mark in self.path for mark in "*?[")


class Settings(BaseModel):
    """Files below the folder that the operator allows."""

    model_config = ConfigDict(extra="forbid")

    streams: list[StreamSettings] = Field(min_length=1)
    classes: FieldClasses = Field(
        default_factory=FieldClasses, description="How sensitive the fields of the streams are."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError("two streams have the same name")
        return self
