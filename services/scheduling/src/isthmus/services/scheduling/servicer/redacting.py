"""The RPC that takes a person's data out of what executions left behind."""

from isthmus.kit.redacting import ANSWERS, SENT, Redactor, TextPlace, Typed
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.servicer.desk import Context, Rpcs

_JSON = "jsonb"
PLACES = (
    TextPlace(
        "executions",
        "executions",
        (Typed("execution_id"),),
        (Typed("failure", _JSON), Typed("note")),
        # What a dry run found is counted and quoted in one; without its samples it tells nothing.
        packed=("preview",),
        when="(failure IS NOT NULL OR note <> '' OR preview IS NOT NULL)",
    ),
    TextPlace(
        "executions",
        "attempts",
        (Typed("execution_id"), Typed("attempt", "integer")),
        (Typed("failure", _JSON),),
        when="failure IS NOT NULL",
    ),
    TextPlace(
        "executions",
        "action_calls",
        (Typed("call_id"),),
        (Typed("input"), Typed("message"), Typed("output")),
        # One that is under way needs its input; it is found by the next erasure.
        when="end_time IS NOT NULL",
    ),
    TextPlace(
        "executions",
        "plan_runs",
        (Typed("run_id"),),
        (Typed("steps", _JSON), Typed("message")),
        when="end_time IS NOT NULL",
    ),
    ANSWERS,
    SENT,
)


class RedactingRpcs(Rpcs):
    """Translates the RPC that redacts texts."""

    async def RedactTexts(self, request: pb.RedactTextsRequest, _: Context) -> pb.RedactTextsResponse:
        """Replace a text in what is kept of executions."""
        return await Redactor(self._desk.db, PLACES).answer(request, pb.RedactTextsResponse)


__all__ = ["PLACES", "RedactingRpcs"]
