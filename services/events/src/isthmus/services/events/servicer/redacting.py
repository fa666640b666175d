"""The RPC that takes a person's data out of events that are kept."""

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit.redacting import ANSWERS, SENT, Redactor, TextPlace, Typed
from isthmus.services.events.servicer.desk import Context, Rpcs

PLACES = (
    TextPlace("events", "events", (Typed("event_id"),), (Typed("subject"), Typed("data"))),
    TextPlace("events", "deliveries", (Typed("subscription_id"), Typed("event_id")), (Typed("reason"),)),
    ANSWERS,
    SENT,
)


class RedactingRpcs(Rpcs):
    """Translates the RPC that redacts texts."""

    async def RedactTexts(self, request: pb.RedactTextsRequest, _: Context) -> pb.RedactTextsResponse:
        """Replace a text in events."""
        return await Redactor(self._desk.db, PLACES).answer(request, pb.RedactTextsResponse)


__all__ = ["PLACES", "RedactingRpcs"]
