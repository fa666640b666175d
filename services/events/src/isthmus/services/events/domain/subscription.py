"""Interest in events, and when an event meets it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from isthmus.mapper.condition import ConditionInvalid, check_condition, holds
from isthmus.resilience.faults import FixRequest, Violation
from isthmus.services.events.domain.event import causing_flow, is_about

_LONGEST_MESSAGE = 1000
_EVENT = "event"
_MISSING = object()


class ActionType(StrEnum):
    """What a subscription does."""

    NOTIFICATION = "notification"
    SYNC = "sync"

    @property
    def key(self) -> str:
        """The one member that the action's configuration has."""
        return "message" if self is ActionType.NOTIFICATION else "flow_id"


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """The part of a subscription that its owner decides.

    Attributes:
        name: Unique inside the tenant.
        event_type: A type; a trailing `*` stands for anything.
        action_type: What to do.
        action_config: How; see `ActionType.key`.
        instance_id: Only events about this instance; empty means all.
        criteria: Dotted paths in the payload and the values they must have.
        expression: A condition on the event, see `isthmus.mapper.condition`; empty means none.
        is_active: Inactive subscriptions do nothing.
    """

    name: str
    event_type: str
    action_type: ActionType
    action_config: dict[str, Any]
    instance_id: str = ""
    criteria: dict[str, Any] = field(default_factory=dict)
    expression: str = ""
    is_active: bool = True

    @property
    def flow_id(self) -> str:
        """The flow it starts; empty when it starts none."""
        return str(self.action_config["flow_id"]) if self.action_type is ActionType.SYNC else ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as stored."""

    subscription_id: str
    spec: SubscriptionSpec
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1


def check_action(action: ActionType, config: dict[str, Any]) -> None:
    """Refuse a configuration that does not fit its action.

    Raises:
        FixRequest: `ACTION_CONFIG_INVALID` with every mistake.
    """
    wrong = [
        Violation(
            f"action_config.{name}", "UNKNOWN_KEY", f"Remove `{name}`; this action knows `{action.key}`."
        )
        for name in config
        if name != action.key
    ]
    value = config.get(action.key)
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_MESSAGE:
        message = f"Set `{action.key}` to a text of at most {_LONGEST_MESSAGE} characters."
        wrong.append(Violation(f"action_config.{action.key}", "REQUIRED", message))
    if wrong:
        raise action_invalid(wrong[0].message, *wrong)


def action_invalid(message: str, *violations: Violation) -> FixRequest:
    """Say what is wrong with an action's configuration."""
    return FixRequest("ACTION_CONFIG_INVALID", message, path="action_config", violations=violations)


def check_expression(text: str) -> None:
    """Refuse a text that is no condition on an event.

    Raises:
        FixRequest: `FILTER_INVALID`, with where and why.
    """
    if not text:
        return
    try:
        check_condition(text, _EVENT)
    except ConditionInvalid as invalid:
        raise FixRequest("FILTER_INVALID", str(invalid), path="subscription.filter_expression") from invalid


def meets(spec: SubscriptionSpec, event_type: str, subject: str, data: dict[str, Any], now: datetime) -> bool:
    """Whether an event meets a subscription.

    A flow is not started by events that it causes itself, or it would run for ever.
    """
    if not spec.is_active or not _type_meets(spec.event_type, event_type):
        return False
    if spec.flow_id and causing_flow(data) == spec.flow_id:
        return False
    if spec.instance_id and not is_about(data, subject, spec.instance_id):
        return False
    if not all(_equal(_at(data, path), wanted) for path, wanted in spec.criteria.items()):
        return False
    event = {"type": event_type, "subject": subject, "data": data}
    return not spec.expression or holds(spec.expression, _EVENT, event, now)


def _type_meets(pattern: str, event_type: str) -> bool:
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern


def _at(data: object, path: str) -> object:
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return _MISSING
        data = data[name]
    return data


def _equal(actual: object, wanted: object) -> bool:
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return actual is wanted
    # Proto JSON writes 64-bit numbers as texts; a person writes them as numbers.
    if isinstance(wanted, int) and isinstance(actual, str):
        return actual == str(wanted)
    return actual == wanted


__all__ = ["ActionType", "Subscription", "SubscriptionSpec", "action_invalid", "check_action", "meets"]
