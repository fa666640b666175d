"""Every record is written once, or it is said why not."""

import json
from collections import Counter

from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.sdk.sandbox import Collection, Misbehaviour
from isthmus.testing.conformance.subject import Subject
from isthmus.testing.conformance.verdicts import check, expect, skip
from isthmus.type.v1 import batch_pb2


@check("write.lands")
async def lands(subject: Subject) -> None:
    """Records arrive at the system, and each is counted."""
    for stream, collection in subject.writable():
        collection.fill(0)
        acks = await subject.write(stream, [_batch(collection, 1, 3)])
        expect(len(acks) == 1, f"{stream.stream}: one batch was sent, {len(acks)} were acknowledged")
        counted = acks[0].created + acks[0].updated + acks[0].unchanged + len(_rejected(acks[0]))
        expect(counted == 3, f"{stream.stream}: 3 records were sent, {counted} are accounted for")
        expect(
            len(collection) == 3, f"{stream.stream}: 3 records were sent, the system has {len(collection)}"
        )


@check("write.repeats")
async def repeats(subject: Subject) -> None:
    """A batch that comes again in the same attempt has no second effect."""
    for stream, collection in subject.writable():
        collection.fill(0)
        batch = _batch(collection, 1, 2)
        await subject.write(stream, [batch])
        await subject.write(stream, [batch])
        created = Counter(one.key for one in collection.effects if one.verb == "create")
        twice = [key for key, times in created.items() if times > 1]
        expect(len(collection) == 2 and not twice, f"{stream.stream} has {len(collection)} records of 2")


@check("write.outcomes")
async def outcomes(subject: Subject) -> None:
    """A record that the system refuses is told with its place and why; the others arrive."""
    for stream, collection in subject.writable():
        collection.fill(0)
        batch = _batch(collection, 1, 3)
        refused = str(json.loads(batch.records[1])[collection.key])
        collection.refused = {refused}
        try:
            acks = await subject.write(stream, [batch])
        finally:
            collection.refused = set()
        told = _rejected(acks[0]) if acks else []
        expect([one.index for one in told] == [1], f"{stream.stream}: record 1 was refused, told is {told}")
        expect(told[0].reason and told[0].message, f"{stream.stream}: a refused record has no reason")
        expect(
            len(collection) == 2, f"{stream.stream}: 2 records were good, the system has {len(collection)}"
        )


@check("write.lost-answer")
async def lost_answer(subject: Subject) -> None:
    """An answer that is lost behind its effect makes no second record."""
    for stream, collection in subject.writable():
        if stream.guarantee == pb.GUARANTEE_AT_LEAST_ONCE:
            skip("the connector says that a record may come twice; its host writes down what it intends")
        collection.fill(0)
        batch = _batch(collection, 1, 1)
        subject.controlled().faults.next(Misbehaviour.HALF_DONE)
        await subject.write(stream, [batch])
        subject.controlled().faults.clear()
        expect(len(collection) == 1, f"{stream.stream} has {len(collection)} records of 1")


def _batch(collection: Collection, sequence: int, count: int) -> batch_pb2.Batch:
    drafts = [collection.draft() for _ in range(count)]
    return batch_pb2.Batch(
        sequence=sequence,
        encoding=batch_pb2.ENCODING_JSON,
        records=[json.dumps(one).encode() for one in drafts],
        keys=[str(one[collection.key]) for one in drafts],
    )


def _rejected(ack: pb.BatchAck) -> list[batch_pb2.RecordOutcome]:
    return [one for one in ack.outcomes if one.result == batch_pb2.RecordOutcome.RESULT_REJECTED]
