"""Lets tenants' subscribers into NATS, and puts them out again."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from isthmus.kit import Bus, Clock, Database
from isthmus.kit.bus_admission import Issuer, Request
from isthmus.kit.bus_users import CONNECTIONS, EVENTS_STREAM, KICKS, LOGINS, subscriber, tenants_events
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.resilience.faults import RetryLater
from isthmus.services.events.domain import Subscriber, is_password
from isthmus.services.events.store import subscribers
from nats import errors
from nats.js import api
from nats.js import errors as stream_errors

_REPLICAS = "doors"
_BUS_SECONDS = 2.0
_ANSWER_SECONDS = 0.5
_FORGET_AFTER = timedelta(seconds=15)
_ACK_SECONDS = 30.0
_MOST_UNACKNOWLEDGED = 1000
_MOST_WAITING = 16

_log = logger(__name__)


class Door:
    """Answers servers that ask who a subscriber is.

    Args:
        bus: Where servers ask.
        db: Knows the subscribers of all tenants.
        issuer: Signs the answers.
    """

    def __init__(self, bus: Bus, db: Database, issuer: Issuer) -> None:
        self._bus = bus
        self._db = db
        self._issuer = issuer

    async def run(self) -> None:
        """Answer for ever; of several replicas one answers each question."""
        while True:
            await self._bus.ready()
            await self._bus.client.subscribe(LOGINS, queue=_REPLICAS, cb=self._asked)
            await self._bus.outlived()

    async def _asked(self, message: Any) -> None:
        request = Request.parse(message.data)
        if request is None:
            _log.warning("a server asks what cannot be read; it may encrypt, which is not supported")
            return
        try:
            await message.respond(await self._answer(request))
        except Exception as error:
            # Without an answer the server refuses after a while, and the subscriber tries again.
            if isinstance(fault_of(error), RetryLater) or isinstance(error, errors.Error):
                _log.warning("a subscriber waits", user=request.user, kind=type(error).__name__)
            else:
                _log.error("a subscriber could not be let in", error, user=request.user)

    async def _answer(self, request: Request) -> bytes:
        async with self._db.system() as conn:
            known = await subscribers.known_subscriber(conn, request.user)
        if known is None or not is_password(request.password, known[1]):
            _log.info("a subscriber was refused", user=request.user[:64])
            return self._issuer.refuse(request)
        await self._make_consumer(known[0])
        return self._issuer.admit(request, subscriber(known[0].subscriber_id, known[0].tenant_id))

    async def _make_consumer(self, one: Subscriber) -> None:
        """Make its consumer, which it may not make itself; one that is there stays as it is."""
        await self._bus.ready(_BUS_SECONDS)
        config = api.ConsumerConfig(
            name=one.subscriber_id,
            durable_name=one.subscriber_id,
            filter_subject=tenants_events(one.tenant_id),
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=one.create_time,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=_ACK_SECONDS,
            max_ack_pending=_MOST_UNACKNOWLEDGED,
            max_waiting=_MOST_WAITING,
        )
        await self._bus.jetstream.add_consumer(EVENTS_STREAM, config)


class PuttingOut:
    """Ends connections and consumers of subscribers that were deleted.

    A subscriber that was let in at the very moment of its deletion is found by the second look, before it
    is forgotten.

    Args:
        bus: Where they are connected.
        db: Knows them.
        clock: The time.
    """

    def __init__(self, bus: Bus, db: Database, clock: Clock) -> None:
        self._bus = bus
        self._db = db
        self._clock = clock

    async def work(self) -> bool:
        """Put out those that have ended; what cannot be done now is done later."""
        async with self._db.system() as conn:
            ended = await subscribers.ended_subscribers(conn)
        if not ended:
            return False
        now = self._clock.now()
        try:
            await self._bus.ready(_BUS_SECONDS)
            await self._end_connections(set(ended))
            for name in ended:
                await self._end_consumer(name)
        except (errors.Error, OSError) as error:
            _log.warning("subscribers cannot be put out yet", kind=type(error).__name__)
            return False
        async with self._db.system() as conn:
            await subscribers.forget_subscribers(conn, ended, now, _FORGET_AFTER)
        return False

    async def _end_connections(self, names: set[str]) -> None:
        """Ask all servers who is connected, and have those ended whose time is over."""
        client = self._bus.client

        async def heard(message: Any) -> None:
            answer = json.loads(message.data)
            for one in answer.get("data", {}).get("connections") or []:
                if one.get("authorized_user") in names:
                    where = KICKS.replace("*", answer["server"]["id"])
                    # Nobody needs the answer, but without a place for one the server does not listen.
                    await client.publish(where, json.dumps({"cid": one["cid"]}).encode(), reply=inbox)

        inbox = client.new_inbox()
        answers = await client.subscribe(inbox, cb=heard)
        try:
            for name in names:
                await client.publish(
                    CONNECTIONS, json.dumps({"user": name, "auth": True}).encode(), reply=inbox
                )
            await client.flush()
            await asyncio.sleep(_ANSWER_SECONDS)  # nobody knows how many servers there are
        finally:
            await answers.unsubscribe()

    async def _end_consumer(self, name: str) -> None:
        try:
            await self._bus.jetstream.delete_consumer(EVENTS_STREAM, name)
        except stream_errors.NotFoundError:
            return


__all__ = ["Door", "PuttingOut"]
