"""What a one-way flow makes of deletions: they go on, mark the record, or are left out."""

from dataclasses import dataclass
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch

_Policy = scheduling.DeletePolicy
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Deletions:
    """A flow's policy.

    Attributes:
        ignores: Deletions are left out.
        field: The field by which a deleted record is marked; empty where it is not marked.
        value: What the field is set to.
        everything: Every record that is read is deleted at the destination.
    """

    ignores: bool = False
    field: str = ""
    value: Any = True
    everything: bool = False

    @classmethod
    def of(cls, flow: scheduling.Flow, leg: int) -> "Deletions":
        """Read a flow's policy; a two-way flow follows it where both sides are compared."""
        if not leg and flow.write_mode == connector.WRITE_MODE_DELETE:
            return cls(everything=True)
        policy = flow.delete_policy
        if leg or policy.kind not in {_Policy.KIND_IGNORE, _Policy.KIND_TOMBSTONE}:
            return cls()
        if policy.kind == _Policy.KIND_IGNORE:
            return cls(ignores=True)
        value = msgspec.json.decode(policy.tombstone_value) if policy.tombstone_value else True
        return cls(field=policy.tombstone_field, value=value)

    @property
    def operation(self) -> int:
        """What happens to a deleted record."""
        return batch.OPERATION_PATCH if self.field else batch.OPERATION_DELETE

    def marked(self, record: bytes) -> bytes:
        """Give a mapped record with its mark."""
        return _encode(_with_value(_decode(record), self.field, self.value))


def _with_value(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    if rest:
        inner = record.get(name)
        value = _with_value(inner if isinstance(inner, dict) else {}, rest, value)
    return {**record, name: value}


__all__ = ["Deletions"]
