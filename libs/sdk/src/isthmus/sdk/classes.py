"""What an instance says of fields that only its system knows: a part of connectors' settings."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from isthmus.sdk.model import DataClass, Stream
from pydantic import BaseModel, ConfigDict, Field

_MOST_RULES = 500
_NAME = r'(?:[^.\[\]"\\\x00-\x1f]+|"[^"\\]+")'
_PATH = rf"^{_NAME}(?:\.{_NAME}|\[\*\])*$"
_WHOLE = "$"


class ClassRule(BaseModel):
    """How sensitive some fields of some streams are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: str = Field(
        "*", min_length=1, max_length=200, description="A stream's name; `*` stands for any letters."
    )
    field: str = Field(
        pattern=_PATH,
        max_length=400,
        description="A path: `owner.email`, `contacts[*].phone`, `*mail*`, or `**.email` at any depth.",
    )
    kind: DataClass = Field(alias="class", description="How sensitive it is.")


class FieldClasses(BaseModel):
    """How sensitive the fields of an instance's streams are; the first rule that names a field counts.

    Connectors whose streams nobody knows beforehand take it as their setting `classes`; the SDK applies it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[ClassRule] = Field(
        default_factory=list, max_length=_MOST_RULES, description="Fields by stream and path."
    )
    unclassified: DataClass | None = Field(
        None, description="Class of every field of which nothing else is said; internal by default."
    )

    def of(self, stream: Stream) -> Mapping[str, DataClass]:
        """The classes of a stream's fields by path, those that its connector declares included."""
        rules = [rule for rule in self.rules if fnmatchcase(stream.stream, rule.stream)]
        others = {} if self.unclassified is None else {_WHOLE: self.unclassified}
        # Patterns are tried in the order in which they are written.
        told = {rule.field: rule.kind for rule in reversed(rules)}
        return {**others, **stream.classes, **{rule.field: told[rule.field] for rule in rules}}


def classified_by(settings: Any, stream: Stream) -> Stream:
    """The stream with the classes that the settings of its connector give it, where they give any."""
    classes = getattr(settings, "classes", None)
    if not isinstance(classes, FieldClasses) or classes == FieldClasses():
        return stream
    return replace(stream, classes=classes.of(stream))


__all__ = ["ClassRule", "FieldClasses", "classified_by"]
