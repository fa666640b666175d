"""The RPC that takes a person's data out of events that are kept."""

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import current_principal
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
        found = await Redactor(self._desk.db, PLACES).redact(
            current_principal().tenant_id, request.text, request.page_token, is_dry_run=request.is_dry_run
        )
        return pb.RedactTextsResponse(texts=found.texts, looked_at=found.seen, next_page_token=found.token)


__all__ = ["PLACES", "RedactingRpcs"]
