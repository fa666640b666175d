"""Flows whose mapping makes several records of one: what they need, and what belongs together in them."""

from collections import Counter

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.pieces import Limits, Reason
from isthmus.host.attempt.slices import Slice
from isthmus.kit.splitting import refusal_of_split
from isthmus.records.v1 import records_pb2 as records
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

_Policy = scheduling.DeletePolicy
_AT_ONCE = 250
_TWICE = Reason(
    "KEY_TWICE",
    "Two parts of the record have the same key, so that one would replace the other; map a key that tells "
    "them apart.",
)


def check_split(flow: scheduling.Flow, leg: int) -> None:
    """Make sure that a flow may have a mapping that splits records.

    Raises:
        Precondition: `SPLIT_UNSOUND`, with what is to be changed.
    """
    policy = flow.delete_policy
    refusal = refusal_of_split(
        has_key=bool(flow.destination_key),
        is_one_way=not leg,
        ignores_deletions=policy.kind == _Policy.KIND_IGNORE,
        shows_all=policy.absent and flow.read_mode == connector.READ_MODE_FULL,
    )
    if refusal is not None:
        raise refusal


def most_at_once(limits: Limits) -> int:
    """How many records are split at once, so that not too many parts wait in memory."""
    return min(limits.records, _AT_ONCE)


def keep_together(done: Slice) -> None:
    """Have a record arrive with all its parts or wait whole, and tell of it once."""
    told = Counter(zip(done.places, done.keys, strict=True))
    for place in sorted({place for (place, _), times in told.items() if times > 1}):
        done.reject(place, records.QuarantinedRecord.STAGE_MAP, _TWICE)
    if not done.rejects:
        return
    bad = set(done.rejected_places)
    kept = [index for index, place in enumerate(done.places) if place not in bad]
    done.records = [done.records[index] for index in kept]
    done.keys = [done.keys[index] for index in kept]
    done.places = [done.places[index] for index in kept]
    pairs = list(zip(done.rejected_places, done.rejects, strict=True))
    first = dict(reversed(pairs))
    done.rejects = [first[place] for place in sorted(first)]
    done.rejected_places = sorted(first)


__all__ = ["check_split", "keep_together"]
