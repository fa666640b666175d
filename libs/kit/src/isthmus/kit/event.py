"""Events as the mesh sends them: CloudEvents 1.0 whose data is canonical proto JSON."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from isthmus.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something that happened to one entity of a service.

    Attributes:
        tenant_id: Whose entity it is.
        entity: What kind of thing, one lower-case word, for example `instance`.
        verb: What happened, in the past tense, for example `created`.
        subject_id: The entity's id.
        payload: The event message of the service's contract.
        id: Identity of the event itself; consumers ignore what they have seen.
    """

    tenant_id: str
    entity: str
    verb: str
    subject_id: str
    payload: Message
    id: str = field(default_factory=lambda: new_id("evt"))


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event taken from the bus.

    Attributes:
        id: Identity of the event; the same one may arrive more than once.
        type: `isthmus.<service>.<entity>.<verb>.v1`.
        tenant_id: Whose event it is.
        source: The service that published it.
        subject: The id of the entity it is about.
        time: When it happened, UTC.
        data: The payload as canonical proto JSON.
        nats_subject: The subject it came on.
        correlation_id: What log lines about it are tied together by.
        traceparent: The trace of whoever published it.
    """

    id: str
    type: str
    tenant_id: str
    source: str
    subject: str
    time: datetime
    data: dict[str, Any]
    nats_subject: str
    correlation_id: str = ""
    traceparent: str = ""


__all__ = ["DomainEvent", "ReceivedEvent"]
