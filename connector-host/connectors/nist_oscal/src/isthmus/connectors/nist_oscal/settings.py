"""Where the catalogue comes from and what a control looks like."""

from typing import Any

from isthmus.sdk import DataClass
from isthmus.sdk.classified import KEYWORD
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

# Catalogues are published; one that is not can be read by a mapping that says so with `unclassified`.
_PUBLISHED = ConfigDict(json_schema_extra={KEYWORD: DataClass.PUBLIC})


class Settings(BaseModel):
    """One OSCAL catalogue in JSON, at an address or below the allowed folder."""

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl | None = Field(None, description="Address of the catalogue.")
    path: str = Field("", description="Path of the catalogue below the folder that the operator allows.")

    @model_validator(mode="after")
    def _one_place(self) -> "Settings":
        if bool(self.url) == bool(self.path):
            raise ValueError("give either url or path")
        return self


class Family(BaseModel):
    """The group that a control belongs to."""

    id: str
    title: str


class Parameter(BaseModel):
    """What an organisation has to decide, resolved to words."""

    id: str
    label: str = Field(description="How it reads inside a statement.")
    values: list[str] = []
    choices: list[str] = []
    how_many: str = Field("", description="one or one-or-more, for choices.")
    guidelines: list[str] = []
    aggregates: list[str] = Field([], description="Ids of the parameters that it stands for.")


class Part(BaseModel):
    """One piece of a control's text, in reading order."""

    id: str
    name: str = Field(description="statement, item, guidance, assessment-objective, …")
    label: str = Field("", description="As printed, for example a. or (1).")
    parent_id: str = Field("", description="The part that this one belongs to; empty at the top.")
    depth: int = 0
    prose: str = Field("", description="With parameters resolved.")


class Control(BaseModel):
    """One control or enhancement with everything that belongs to it."""

    model_config = _PUBLISHED

    id: str
    label: str = Field(description="As people write it, for example AC-2(1).")
    title: str
    kind: str = Field(description="control or enhancement.")
    family: Family | None = None
    group_ids: list[str] = Field([], description="The groups around it, outermost first.")
    parent_id: str = Field("", description="The control that an enhancement belongs to.")
    sort_id: str = ""
    is_withdrawn: bool = False
    statement: str = ""
    guidance: str = ""
    parameters: list[Parameter] = []
    parts: list[Part] = []
    related: list[str] = []
    required: list[str] = []
    references: list[str] = []
    enhancements: list[str] = Field([], description="Ids of the enhancements directly below.")
    properties: dict[str, list[str]] = {}
    catalog: dict[str, Any] = Field({}, description="Title and version of the catalogue.")


class Group(BaseModel):
    """One group of controls, for example a family."""

    model_config = _PUBLISHED

    id: str
    title: str
    kind: str = Field("", description="The class that the catalogue gives it, for example family.")
    parent_id: str = ""
    prose: str = ""
    control_ids: list[str] = Field([], description="Controls directly in it, without enhancements.")
    control_count: int = Field(description="Controls and enhancements in it and in the groups below.")
