"""Actions and webhooks of a connector: what they are given, and what they give."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.sdk.connector import Connector
from isthmus.sdk.context import Context
from isthmus.sdk.declared import actions_of, input_model, webhooks_of
from isthmus.sdk.failures import ConfigurationFailure, NotFound, Violation
from isthmus.sdk.page import Event
from isthmus.sdk.records import as_dict
from isthmus.sdk.runtime.failing import failing
from pydantic import BaseModel, ValidationError


@dataclass(frozen=True)
class Received:
    """What a webhook said."""

    kind: str
    stream: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    delivery_id: str = ""
    reply_status: int = 202
    reply_body: bytes = b""


async def invoke(
    connector: Connector[Any], context: Context, action: str, given: Mapping[str, Any], request_id: str
) -> dict[str, Any]:
    """Runs a named action; see `Session.invoke`."""
    actions = actions_of(type(connector))
    if action not in actions:
        listed = ", ".join(sorted(actions)) or "none"
        raise NotFound(
            "ACTION_UNKNOWN", f"There is no action {action!r}; the connector has {listed}.", path="action"
        )
    method = getattr(connector, actions[action].__name__)
    argument = _input(actions[action], given)
    extra = {"request_id": request_id} if "request_id" in inspect.signature(method).parameters else {}
    async with failing(connector, context):
        outcome = await method(argument, **extra)
    return as_dict(outcome) if outcome is not None else {}


async def receive(connector: Connector[Any], context: Context, event: Event) -> Received:
    """Decodes one inbound webhook; see `Session.receive`."""
    webhooks, kind = webhooks_of(type(connector)), event.kind
    if not kind and len(webhooks) == 1:
        kind = next(iter(webhooks))
    if kind not in webhooks:
        listed = ", ".join(sorted(webhooks)) or "none"
        raise NotFound(
            "WEBHOOK_UNKNOWN", f"There is no webhook {kind!r}; the connector has {listed}.", path="kind"
        )
    function, mark = webhooks[kind]
    async with failing(connector, context):
        outcome = await getattr(connector, function.__name__)(replace(event, kind=kind))
    if isinstance(outcome, Received):
        return outcome
    several = outcome if isinstance(outcome, list) else [outcome] if outcome is not None else []
    return Received(kind, mark.feeds, [as_dict(record) for record in several])


def _input(method: Any, given: Mapping[str, Any]) -> Any:
    model: type[BaseModel] | None = input_model(method)
    if model is None:
        return dict(given)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        told = error.errors(include_input=False, include_url=False, include_context=False)
        violations = tuple(
            Violation(".".join(map(str, item["loc"])), item["type"].upper(), f"{item['msg']}.")
            for item in told
        )
        message = f"The action's input is not valid: see {', '.join(v.path for v in violations)}."
        raise ConfigurationFailure("INPUT_INVALID", message, violations=violations) from None


__all__ = ["Received", "invoke", "receive"]
