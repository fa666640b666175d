"""RPCs of subscribers."""

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.kit.validation import validating
from isthmus.resilience.faults import NotAllowed, Precondition
from isthmus.services.events.servicer.desk import Context, Rpcs
from isthmus.services.events.store import subscribers as rows

_LONGEST_NAME = 200
_LONGEST_ID = 64
_WHAT_IT_HEARS = "events.events.read"


class SubscriberRpcs(Rpcs):
    """Translates the RPCs of subscribers."""

    async def CreateSubscriber(
        self, request: pb.CreateSubscriberRequest, _: Context
    ) -> pb.CreateSubscriberResponse:
        """Make a subscriber; its password is shown to the first call with this request id only."""
        with validating() as check:
            check.text("name", request.name, longest=_LONGEST_NAME)
        caller, password = current_principal(), ""
        if not caller.may(_WHAT_IT_HEARS):
            message = f"Ask somebody who holds {_WHAT_IT_HEARS}: a subscriber hears all events of the tenant."
            raise NotAllowed("SUBSCRIBER_EXCEEDS_CALLER", message)
        if not self._desk.admits_subscribers:
            message = "Have NATS configured with `isthmus nats config`; it does not ask who a subscriber is."
            raise Precondition("SUBSCRIBERS_UNAVAILABLE", message)

        async def create() -> pb.CreateSubscriberResponse:
            nonlocal password
            made, password = await self._desk.subscribers.create(
                conn, caller.tenant_id, request.name, caller.subject
            )
            return pb.CreateSubscriberResponse(subscriber=self._desk.shown(made))

        async with self._desk.db.tenant(caller.tenant_id) as conn:
            answer = await once(conn, "CreateSubscriber", request, create, pb.CreateSubscriberResponse)
        answer.password = password
        return answer

    async def ListSubscribers(
        self, request: pb.ListSubscribersRequest, _: Context
    ) -> pb.ListSubscribersResponse:
        """List subscribers, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["subscriber"])
        after = str(page.after["subscriber"]) if page.after else ""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_subscribers(conn, tenant_id, after=after, limit=page.size + 1)
        shown = fitting(map(self._desk.shown, found), page.size)
        token = encode_token({"subscriber": shown[-1].subscriber_id}) if len(found) > len(shown) else ""
        return pb.ListSubscribersResponse(subscribers=shown, next_page_token=token)

    async def DeleteSubscriber(
        self, request: pb.DeleteSubscriberRequest, _: Context
    ) -> pb.DeleteSubscriberResponse:
        """Delete a subscriber; its connections end at once."""
        with validating() as check:
            check.text("subscriber_id", request.subscriber_id, longest=_LONGEST_ID)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            await self._desk.subscribers.end(conn, tenant_id, request.subscriber_id)
        self._desk.ended.ring()
        return pb.DeleteSubscriberResponse()


__all__ = ["SubscriberRpcs"]
