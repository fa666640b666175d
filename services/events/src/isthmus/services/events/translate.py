"""Between the contract's messages and the domain's values."""

import json
from datetime import UTC, datetime
from typing import Literal

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit.bus_users import EVENTS_STREAM, inbox, tenants_events
from isthmus.kit.times import stamp
from isthmus.resilience.faults import FixRequest
from isthmus.services.events.domain import (
    ActionType,
    Event,
    EventFilter,
    EventType,
    Subscriber,
    Subscription,
    read_patterns,
)

_ACTIONS = {
    ActionType.NOTIFICATION: pb.EventSubscription.ACTION_TYPE_NOTIFICATION,
    ActionType.SYNC: pb.EventSubscription.ACTION_TYPE_SYNC,
}


SOURCE = "isthmus/events"


def own_subject(tenant_id: str, event_type: str) -> str:
    """Give the NATS subject of a tenant's own event."""
    return f"isthmus.v1.{tenant_id}.events.own.{event_type}"


def write_event(event: Event) -> pb.Event:
    """Write an event."""
    return pb.Event(
        event_id=event.event_id,
        type=event.type,
        source=event.source,
        subject=event.subject,
        time=stamp(event.time),
        data=event.data,
        traceparent=event.traceparent,
        correlation_id=event.correlation_id,
        nats_subject=event.nats_subject,
    )


def read_filter(message: pb.EventFilter) -> EventFilter:
    """Read which events are meant.

    Raises:
        FixRequest: `FIELD_INVALID`, a pattern or a time cannot be one.
    """
    exact, prefixes = read_patterns(message.types)
    return EventFilter(
        exact=exact,
        prefixes=prefixes,
        subject=message.subject,
        start_time=_moment(message, "start_time"),
        end_time=_moment(message, "end_time"),
    )


def _moment(message: pb.EventFilter, name: Literal["start_time", "end_time"]) -> datetime | None:
    if not message.HasField(name):
        return None
    try:
        moment: datetime = getattr(message, name).ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        text = f"Send a time between the years 1 and 9999 in `filter.{name}`."
        raise FixRequest("FIELD_INVALID", text, path=f"filter.{name}") from error
    return moment


def write_event_type(kind: EventType) -> pb.EventType:
    """Write a type of event."""
    return pb.EventType(
        type=kind.type,
        description=kind.description,
        payload=kind.payload_name,
        nats_subject=kind.nats_subject,
    )


def read_action(value: int) -> ActionType:
    """Read what a subscription does."""
    return next(action for action, number in _ACTIONS.items() if number == value)


def write_subscription(subscription: Subscription) -> pb.EventSubscription:
    """Write a subscription as stored."""
    spec = subscription.spec
    return pb.EventSubscription(
        subscription_id=subscription.subscription_id,
        name=spec.name,
        instance_id=spec.instance_id,
        event_type=spec.event_type,
        filter_criteria=json.dumps(spec.criteria) if spec.criteria else "",
        filter_expression=spec.expression,
        action_type=_ACTIONS[spec.action_type],
        action_config=json.dumps(spec.action_config),
        is_active=spec.is_active,
        created_by=subscription.created_by,
        create_time=stamp(subscription.create_time),
        update_time=stamp(subscription.update_time),
        etag=str(subscription.revision),
    )


def write_subscriber(subscriber: Subscriber, server: str, authorities: str) -> pb.Subscriber:
    """Write a subscriber, with all that its program has to know beside the password."""
    return pb.Subscriber(
        subscriber_id=subscriber.subscriber_id,
        name=subscriber.name,
        created_by=subscriber.created_by,
        create_time=stamp(subscriber.create_time),
        server=server,
        authorities=authorities,
        stream=EVENTS_STREAM,
        subject=tenants_events(subscriber.tenant_id),
        inbox_prefix=inbox(subscriber.subscriber_id),
    )


__all__ = [
    "SOURCE",
    "own_subject",
    "read_action",
    "read_filter",
    "write_event",
    "write_event_type",
    "write_subscriber",
    "write_subscription",
]
