"""From the records of a batch to at most one effect for each key.

Records take effect in the order of the batch. What a later record of the same key replaces is never
written, so a key has one new version a batch at most; the replaced records count as unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES, Operation, Screened, WriteMode

_Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(_Members).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Effects:
    """What a batch does to the stream, one entry a key.

    Attributes:
        keys: Keys to create or replace.
        lines: Their new content.
        indexes: The record of the batch that each comes from.
        deleted: Keys to remove.
        text: The lines once more as one text, where a batch that came so takes effect as a whole.
    """

    keys: Sequence[bytes] = ()
    lines: Sequence[bytes] = ()
    indexes: Sequence[int] = ()
    deleted: Sequence[bytes] = ()
    text: bytes = b""


def patched_keys(screened: Screened) -> list[bytes]:
    """Name the keys whose present content is needed before `fold` can work."""
    operations = screened.batch.operations
    if Operation.PATCH not in operations:
        return []
    patches = (index for index, operation in enumerate(operations) if operation == Operation.PATCH)
    return list(dict.fromkeys(screened.keys[i] for i in patches if i not in screened.rejected))


def fold(screened: Screened, mode: WriteMode, present: Mapping[bytes, bytes]) -> Effects:
    """Work out the batch's effects; records that the mode forbids are rejected on the way.

    Args:
        screened: The batch, its unreadable records already rejected.
        mode: What the writer may do.
        present: Present content of the keys that `patched_keys` named, where there is any.
    """
    batch = screened.batch
    if not (batch.operations or screened.rejected) and len(set(screened.keys)) == len(screened.keys):
        return Effects(screened.keys, batch.records, range(len(screened.keys)), text=batch.text)
    final = _last_of_each_key(screened, mode, present)
    kept = [(key, line, index) for key, (index, line) in final.items() if line is not None]
    deleted = [key for key, (_, line) in final.items() if line is None]
    keys, lines, indexes = zip(*kept, strict=True) if kept else ((), (), ())
    return Effects(keys, lines, indexes, deleted)


def _last_of_each_key(
    screened: Screened, mode: WriteMode, present: Mapping[bytes, bytes]
) -> dict[bytes, tuple[int, bytes | None]]:
    batch, rejected = screened.batch, screened.rejected
    final: dict[bytes, tuple[int, bytes | None]] = {}
    for index, key in enumerate(screened.keys):
        if index in rejected:
            continue
        operation = batch.operations[index] if batch.operations else Operation.UPSERT
        line: bytes | None = batch.records[index]
        if operation == Operation.DELETE:
            if _may_not_delete(screened, index, mode):
                continue
            line = None
        elif operation == Operation.PATCH:
            before = final[key][1] if key in final else present.get(key)
            line = _merge(screened, index, before)
            if line is None:
                continue
        final[key] = (index, line)
    return final


def _may_not_delete(screened: Screened, index: int, mode: WriteMode) -> bool:
    if mode not in {WriteMode.CREATE, WriteMode.UPDATE}:
        return False
    message = "The flow may not delete records; write with mode upsert or delete."
    screened.reject(index, "OPERATION_NOT_ALLOWED", message)
    return True


def _merge(screened: Screened, index: int, before: bytes | None) -> bytes | None:
    """Put the members of a patch over the present content; both keep the spelling of their values."""
    patch = screened.batch.records[index]
    try:
        merged = _encode({**_members(before or b"{}"), **_members(patch)})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        screened.reject(index, "JSON_INVALID", f"The patch is not valid JSON ({error}); send valid JSON.")
        return None
    if len(merged) > MAX_BATCH_BYTES:
        message = f"The patched record would have {len(merged)} bytes; keep it below {MAX_BATCH_BYTES}."
        screened.reject(index, "RECORD_TOO_LARGE", message)
        return None
    return merged


__all__ = ["Effects", "fold", "patched_keys"]
