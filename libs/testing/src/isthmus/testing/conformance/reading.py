"""Nothing is lost or doubled, wherever pages end and wherever a reading goes on."""

from collections import Counter

from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.testing.conformance.subject import Subject
from isthmus.testing.conformance.verdicts import check, expect

_FULL = pb.READ_MODE_FULL
_INCREMENTAL = pb.READ_MODE_INCREMENTAL
_DELTA = pb.READ_MODE_DELTA


@check("read.paging")
async def paging(subject: Subject) -> None:
    """A full reading gives every record once, wherever pages end: 0, 1, a page ± 1, three pages."""
    page = subject.controlled().page_size
    for stream, collection in subject.stocked(_FULL):
        for count in (0, 1, page - 1, page, page + 1, 3 * page):
            collection.fill(count)
            keys = (await subject.read(stream, _FULL)).keys(stream)
            twice = [key for key, times in Counter(keys).items() if times > 1]
            expect(not twice, f"{stream.stream} of {count} records gives {twice[:3]} more than once")
            lost, made_up = collection.keys - set(keys), set(keys) - collection.keys
            expect(not lost, f"{stream.stream} of {count} records loses {len(lost)}: {sorted(lost)[:3]}")
            expect(not made_up, f"{stream.stream} gives records that there are not: {sorted(made_up)[:3]}")


@check("read.resumes")
async def resumes(subject: Subject) -> None:
    """From every position that it gave, a reading goes on without losing a record."""
    page = subject.controlled().page_size
    for stream, collection in subject.stocked(_FULL):
        collection.fill(3 * page + 1)
        whole = await subject.read(stream, _FULL)
        for number, one in enumerate(whole.batches):
            if not one.HasField("position"):
                continue
            before = type(whole)(batches=whole.batches[: number + 1]).keys(stream)
            rest = await subject.read(stream, _FULL, one.position)
            lost = collection.keys - {*before, *rest.keys(stream)}
            expect(not lost, f"{stream.stream}, gone on behind batch {number}, loses {sorted(lost)[:3]}")


@check("read.limit")
async def limit(subject: Subject) -> None:
    """A sample is as large as was asked for."""
    for stream, collection in subject.stocked(_FULL):
        collection.fill(5)
        keys = (await subject.read(stream, _FULL, limit=2)).keys(stream)
        expect(len(keys) == 2, f"{stream.stream}: 2 records were asked for, {len(keys)} came")


@check("read.incremental")
async def incremental(subject: Subject) -> None:
    """What was changed or added since a reading comes with the next one, as it is now."""
    for stream, collection in subject.stocked(_INCREMENTAL, _DELTA):
        mode = _DELTA if _DELTA in stream.read_modes else _INCREMENTAL
        collection.fill(subject.controlled().page_size + 2)
        first = await subject.read(stream, mode)
        expect(
            collection.keys <= set(first.keys(stream)), f"{stream.stream}: the first reading is not complete"
        )
        changed = sorted(collection.keys)[0]
        collection.change(changed)
        added = str(collection.add()[collection.key])
        again = await subject.read(stream, mode, first.end.position)
        missing = {changed, added} - set(again.keys(stream))
        expect(not missing, f"{stream.stream}: changes do not come: {sorted(missing)}")


@check("read.same-moment")
async def same_moment(subject: Subject) -> None:
    """Records that were changed at one and the same moment are not lost, though more than fit a page."""
    page = subject.controlled().page_size
    for stream, collection in subject.stocked(_INCREMENTAL, _DELTA):
        mode = _DELTA if _DELTA in stream.read_modes else _INCREMENTAL
        collection.fill(page)
        first = await subject.read(stream, mode)
        with collection.at_one_moment():
            new = {str(collection.add()[collection.key]) for _ in range(2 * page + 1)}
        found: set[str] = set()
        position, last = first.end.position, -1
        while len(found) > last:
            last = len(found)
            again = await subject.read(stream, mode, position)
            found |= set(again.keys(stream)) & new
            position = again.end.position
        expect(found == new, f"{stream.stream} loses {len(new - found)} of {len(new)} records of one moment")


@check("read.deletes")
async def deletes(subject: Subject) -> None:
    """Where a stream is read by changes and deletions, what is removed is told to be gone."""
    for stream, collection in subject.stocked(_DELTA):
        collection.fill(3)
        first = await subject.read(stream, _DELTA)
        gone = sorted(collection.keys)[0]
        collection.remove(gone)
        again = await subject.read(stream, _DELTA, first.end.position)
        expect(gone in again.deleted(stream), f"{stream.stream} does not tell that {gone} is gone")
