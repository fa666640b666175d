"""From the records of a batch to at most one effect for each key.

Records take effect in the order of the batch. What a later record of the same key replaces is never
written, so a key has one new version a batch at most; the replaced records count as unchanged.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES, Operation, Screened, WriteMode

_Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(_Members).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Effects:
    """What a batch does to the stream, one entry a key.

    Attributes:
        keys: Keys to create or replace.
        lines: Their new content.
        hashes: SHA-256 of the content.
        indexes: The record of the batch that each comes from.
        deleted: Keys to remove.
    """

    keys: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)


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
    final = _last_of_each_key(screened, mode, present)
    effects = Effects()
    if len(final) == len(screened.keys) and not screened.batch.operations:
        effects.keys, effects.lines = screened.keys, list(screened.batch.records)
        effects.indexes = list(range(len(final)))
        final = {}
    for key, (index, line) in final.items():
        if line is None:
            effects.deleted.append(key)
        else:
            effects.keys.append(key)
            effects.lines.append(line)
            effects.indexes.append(index)
    effects.hashes = [hashlib.sha256(line).digest() for line in effects.lines]
    return effects


def _last_of_each_key(
    screened: Screened, mode: WriteMode, present: Mapping[bytes, bytes]
) -> dict[bytes, tuple[int, bytes | None]]:
    batch, rejected = screened.batch, screened.rejected
    if not batch.operations and not rejected:
        return dict(zip(screened.keys, enumerate(batch.records), strict=True))
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
