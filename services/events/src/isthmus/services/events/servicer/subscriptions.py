"""RPCs of subscriptions."""

import asyncio

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.kit.validation import Check, validating
from isthmus.resilience.faults import Violation
from isthmus.services.events.domain import (
    SubscriptionSpec,
    action_invalid,
    check_action,
    check_expression,
    check_pattern,
)
from isthmus.services.events.servicer.desk import Context, Rpcs
from isthmus.services.events.store import subscriptions as rows
from isthmus.services.events.translate import read_action, write_subscription

_LONGEST_NAME = 200
_LONGEST_ID = 64
_MOST_CRITERIA = 20
_LONGEST_JSON = 8192


class SubscriptionRpcs(Rpcs):
    """Translates the RPCs of subscriptions."""

    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, _: Context
    ) -> pb.CreateSubscriptionResponse:
        """Create a subscription."""
        caller, spec = current_principal(), _read(request.subscription)
        await asyncio.to_thread(check_expression, spec.expression)
        await self._need_flow(spec)
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def create() -> pb.CreateSubscriptionResponse:
                made = await self._desk.subscriptions.create(conn, caller.tenant_id, spec, caller.subject)
                return pb.CreateSubscriptionResponse(subscription=write_subscription(made))

            return await once(conn, "CreateSubscription", request, create, pb.CreateSubscriptionResponse)

    async def GetSubscription(
        self, request: pb.GetSubscriptionRequest, _: Context
    ) -> pb.GetSubscriptionResponse:
        """Read a subscription."""
        _check_id(request.subscription_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await self._desk.subscriptions.get(conn, tenant_id, request.subscription_id)
        return pb.GetSubscriptionResponse(subscription=write_subscription(found))

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, _: Context
    ) -> pb.ListSubscriptionsResponse:
        """List subscriptions, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["subscription"])
        after = str(page.after["subscription"]) if page.after else ""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_subscriptions(conn, tenant_id, after=after, limit=page.size + 1)
        shown = fitting(map(write_subscription, found), page.size)
        token = encode_token({"subscription": shown[-1].subscription_id}) if len(found) > len(shown) else ""
        return pb.ListSubscriptionsResponse(subscriptions=shown, next_page_token=token)

    async def UpdateSubscription(
        self, request: pb.UpdateSubscriptionRequest, _: Context
    ) -> pb.UpdateSubscriptionResponse:
        """Replace what a subscription's owner decides."""
        subscription_id = request.subscription.subscription_id
        _check_id(subscription_id)
        caller, spec = current_principal(), _read(request.subscription)
        await asyncio.to_thread(check_expression, spec.expression)
        await self._need_flow(spec)
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            changed = await self._desk.subscriptions.update(
                conn, caller.tenant_id, subscription_id, spec, etag=request.etag, by=caller.subject
            )
        return pb.UpdateSubscriptionResponse(subscription=write_subscription(changed))

    async def DeleteSubscription(
        self, request: pb.DeleteSubscriptionRequest, _: Context
    ) -> pb.DeleteSubscriptionResponse:
        """Delete a subscription."""
        _check_id(request.subscription_id)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            await self._desk.subscriptions.delete(
                conn, caller.tenant_id, request.subscription_id, etag=request.etag, by=caller.subject
            )
        return pb.DeleteSubscriptionResponse()

    async def _need_flow(self, spec: SubscriptionSpec) -> None:
        if spec.flow_id and not await self._desk.flows.exists(spec.flow_id):
            message = f"There is no flow {spec.flow_id}; create it first."
            raise action_invalid(message, Violation("action_config.flow_id", "FLOW_UNKNOWN", message))


def _check_id(subscription_id: str) -> None:
    with validating() as check:
        check.text("subscription_id", subscription_id, longest=_LONGEST_ID)


def _read(message: pb.EventSubscription) -> SubscriptionSpec:
    with validating() as check:
        check.text("subscription.name", message.name, longest=_LONGEST_NAME)
        check.text("subscription.instance_id", message.instance_id, required=False, longest=_LONGEST_ID)
        known = pb.EventSubscription.ActionType.values()
        check.enum("subscription.action_type", message.action_type, known=known)
        for field in ("filter_criteria", "filter_expression", "action_config"):
            value = getattr(message, field)
            check.text(f"subscription.{field}", value, required=False, longest=_LONGEST_JSON, lines=True)
        criteria = check.json("subscription.filter_criteria", message.filter_criteria)
        check.count("subscription.filter_criteria", criteria, most=_MOST_CRITERIA)
    check_pattern(message.event_type, "subscription.event_type")
    action, parsing = read_action(message.action_type), Check()
    config = parsing.json("action_config", message.action_config)
    if parsing.violations:
        raise action_invalid(parsing.violations[0].message, *parsing.violations)
    check_action(action, config)
    return SubscriptionSpec(
        name=message.name,
        event_type=message.event_type,
        action_type=action,
        action_config=config,
        instance_id=message.instance_id,
        criteria=criteria,
        expression=message.filter_expression.strip(),
        is_active=message.is_active,
    )


__all__ = ["SubscriptionRpcs"]
