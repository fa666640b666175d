"""A definition that was read and found good: what the code generator works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isthmus.mapper.paths import EACH, RECORD, Path

if TYPE_CHECKING:
    from isthmus.mapper.cel.expression import CelExpression
    from isthmus.mapper.privacy.classes import DataClass


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()
"""Stands for an absent member where null means something."""


@dataclass(frozen=True, slots=True)
class Step:
    """One function with its arguments bound.

    Attributes:
        name: What the definition calls it.
        call: Takes the value, and the evaluation time where `needs_now`.
        returns: Kind of the result.
        takes_null: Whether it is called for null.
        needs_now: Whether it takes the evaluation time.
        clean: Whether the result is always storable JSON of small size.
        outcomes: Every result it can give, where they are known beforehand.
        argument: The only argument, where there is one.
        fast: Whether the generator may inline the usual case.
        nullable: Whether it may give null for a value that is not null.
        record_reads: Paths inside the record that it reads besides its value; where there are any, it takes
            the evaluation time and the record as well.
    """

    name: str
    call: Callable[..., Any]
    returns: str = "any"
    takes_null: bool = False
    needs_now: bool = False
    clean: bool = False
    outcomes: tuple[Any, ...] | None = None
    argument: Any = None
    fast: bool = True
    nullable: bool = True
    record_reads: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A path into the record.

    Attributes:
        path: It begins with `RECORD` where it leads from the element of a list into the record around it.
        lenient: Whether a value of the wrong kind on its way counts as missing.
        needs_dictionary: Whether whoever reads it takes the record as a dictionary only.
    """

    path: Path
    lenient: bool = False
    needs_dictionary: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of the definition itself."""

    value: Any


@dataclass(frozen=True, slots=True)
class Now:
    """The evaluation time."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder of a template; an optional one may be empty."""

    path: Path
    optional: bool


@dataclass(frozen=True, slots=True)
class Template:
    """Text with placeholders."""

    parts: tuple[str | Slot, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """The texts of several values, nulls left out."""

    values: tuple[Value, ...]
    separator: str


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first of several values that is not null."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """The value of the first case whose condition holds."""

    cases: tuple[tuple[Condition, Value], ...]
    otherwise: Value | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list of objects, one made from each element of a source list."""

    path: Path
    block: Block


@dataclass(frozen=True, slots=True)
class Expression:
    """A CEL expression, which gives a value or answers a condition."""

    body: CelExpression

    @property
    def reads(self) -> tuple[Source, ...]:
        """What it reads of the record or element; a member that is missing fails, so none is lenient."""
        around = (Source((RECORD, *path), needs_dictionary=True) for path in self.body.outer_paths)
        return (*(Source(path) for path in self.body.paths), *around)


Origin = Source | Constant | Now | Template | Concat | Coalesce | Choose | Items | Expression


@dataclass(frozen=True, slots=True)
class Value:
    """An origin, the steps it goes through, and what stands in for null."""

    origin: Origin
    steps: tuple[Step, ...] = ()
    default: Any = NOTHING


@dataclass(frozen=True, slots=True)
class Test:
    """Checks on one value; all must hold. Checks marked negated also hold for null."""

    __test__ = False

    value: Value
    checks: tuple[tuple[Step, bool], ...]


@dataclass(frozen=True, slots=True)
class Combined:
    """Several conditions: `all` or `any` of them."""

    word: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """The opposite of a condition."""

    condition: Condition


Condition = Test | Combined | Negated | Expression


@dataclass(frozen=True, slots=True)
class Field:
    """One target field."""

    target: Path
    value: Value
    place: str
    required: bool = False
    keep_null: bool = False
    when: Condition | None = None
    data_class: DataClass | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to hold of a result, and what becomes of one for which it does not.

    Attributes:
        name: What its author calls it.
        check: Asks the result; a path that begins with `RECORD` leads into the record it was made from.
        consequence: warn, default, quarantine or stop.
        message: What its author says to whoever has to mend the record.
        defaults: What is put into the result, by target.
    """

    name: str
    check: Condition
    consequence: str
    message: str = ""
    defaults: tuple[tuple[Path, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Fields that make one object out of one record or list element."""

    fields: tuple[Field, ...]
    where: Condition | None = None
    keep_unmapped: bool = False
    ignore: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """How a record becomes several: one from each element of a list in it.

    Attributes:
        each: Leads to the list.
        where: Asks the record whether there is to be anything of it.
    """

    each: Path
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole mapping.

    Attributes:
        block: Makes what is mapped, of the record or of each of the elements that it is split into.
        source_schema: JSON Schema of records; `None` where nobody says.
        target_schema: JSON Schema of what is made.
        validate: Whether everything that is made is checked by that.
        unclassified: Class of source fields that have none of their own.
        split: Makes several of one record.
    """

    block: Block
    source_schema: dict[str, Any] | None = None
    target_schema: dict[str, Any] | None = None
    validate: bool = False
    unclassified: DataClass | None = None
    split: Split | None = None

    @property
    def inside(self) -> Path:
        """Where in the record paths of the block begin."""
        return () if self.split is None else (*self.split.each, EACH)

    @property
    def whole(self) -> Block:
        """What is done with a whole record, be it split or not."""
        if self.split is None:
            return self.block
        parts = Field(("parts",), Value(Items(self.split.each, self.block)), "")
        return Block((parts,), self.split.where)
