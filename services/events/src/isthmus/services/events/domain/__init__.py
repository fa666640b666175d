"""Rules of events and subscriptions, in plain Python."""

from isthmus.services.events.domain.catalogue import CATALOGUE, EventType
from isthmus.services.events.domain.event import (
    LARGEST_DATA,
    Event,
    EventFilter,
    causing_flow,
    check_own_type,
    check_pattern,
    is_about,
    read_patterns,
)
from isthmus.services.events.domain.subscriber import Subscriber, hashed, is_password, new_password
from isthmus.services.events.domain.subscription import (
    ActionType,
    Subscription,
    SubscriptionSpec,
    action_invalid,
    check_action,
    check_expression,
    meets,
)

__all__ = [
    "CATALOGUE",
    "LARGEST_DATA",
    "ActionType",
    "Event",
    "EventFilter",
    "EventType",
    "Subscriber",
    "Subscription",
    "SubscriptionSpec",
    "action_invalid",
    "causing_flow",
    "check_action",
    "check_expression",
    "check_own_type",
    "check_pattern",
    "hashed",
    "is_about",
    "is_password",
    "meets",
    "new_password",
    "read_patterns",
]
