"""Which class the fields have that a mapping makes, unless it says so itself."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapper.lineage import field_reads, located
from isthmus.mapper.model import Block, Constant, Field, Items, Now
from isthmus.mapper.paths import EACH, Path, format_path, parse_path
from isthmus.mapper.privacy.classes import Classes, DataClass


def derived(block: Block, source: Classes, inside: Path = ()) -> dict[str, DataClass]:
    """The class of every target field by path: as the mapping says, else the highest of what feeds it.

    Args:
        block: Makes the fields.
        source: Classes of the records that it reads.
        inside: Where in a record it reads.
    """
    kept = {} if not block.keep_unmapped else _kept(block, source)
    return {**kept, **{format_path(path): kind for path, kind in _targets(block, source, inside, ())}}


def _kept(block: Block, source: Classes) -> dict[str, DataClass]:
    read = {field.value.origin.path for field in block.fields if hasattr(field.value.origin, "path")}
    return {
        text: kind
        for text, kind in source.declared.items()
        if (path := parse_path(text)) and path[0] not in block.ignore and path not in read
    }


def _targets(block: Block, source: Classes, inside: Path, above: Path) -> Iterator[tuple[Path, DataClass]]:
    """Paths and classes.

    Args:
        block: Makes the fields.
        source: Classes of whole records.
        inside: Where in a record the block reads.
        above: Where in the result the block writes.
    """
    for field in block.fields:
        target = (*above, *(EACH if isinstance(part, int) else part for part in field.target))
        if field.data_class is not None:
            yield target, field.data_class
            continue
        origin = field.value.origin
        if isinstance(origin, Items) and not field.value.steps and field.when is None:
            yield from _targets(origin.block, source, (*located(inside, origin.path), EACH), (*target, EACH))
            continue
        yield target, _fed_by(field, source, inside)


def lowered(block: Block, source: Classes, inside: Path = ()) -> Iterator[tuple[str, DataClass, DataClass]]:
    """Target fields that the mapping says are less sensitive than what feeds them.

    Yields:
        The path, the class that the field would have, and the one that the mapping gives it.
    """
    yield from _lowered(block, source, inside, ())


def _lowered(
    block: Block, source: Classes, inside: Path, above: Path
) -> Iterator[tuple[str, DataClass, DataClass]]:
    for field in block.fields:
        target = (*above, *(EACH if isinstance(part, int) else part for part in field.target))
        origin = field.value.origin
        if field.data_class is not None:
            fed = _fed_by(field, source, inside)
            if field.data_class < fed:
                yield format_path(target), fed, field.data_class
        elif isinstance(origin, Items) and not field.value.steps and field.when is None:
            yield from _lowered(origin.block, source, (*located(inside, origin.path), EACH), (*target, EACH))


def _fed_by(field: Field, source: Classes, inside: Path) -> DataClass:
    reads = [source.highest(located(inside, read.path)) for read in field_reads(field)]
    if not reads and isinstance(field.value.origin, Constant | Now):
        return DataClass.INTERNAL
    return max(reads, default=DataClass.INTERNAL)
