"""The RPCs of `isthmus.events.v1`, put together out of their groups."""

from isthmus.events.v1.events_pb2_grpc import EventsServiceServicer
from isthmus.services.events.servicer.happenings import EventRpcs
from isthmus.services.events.servicer.redacting import RedactingRpcs
from isthmus.services.events.servicer.subscribers import SubscriberRpcs
from isthmus.services.events.servicer.subscriptions import SubscriptionRpcs


class EventsServicer(EventRpcs, SubscriptionRpcs, SubscriberRpcs, RedactingRpcs, EventsServiceServicer):
    """Serves events, subscriptions and subscribers."""


__all__ = ["EventsServicer"]
