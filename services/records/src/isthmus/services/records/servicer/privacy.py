"""Speaks `PrivacyService`."""

from collections.abc import AsyncIterator, Awaitable, Callable

from google.protobuf.duration_pb2 import Duration
from isthmus.kit import Database, current_principal
from isthmus.kit.deed import tell
from isthmus.kit.validation import validating
from isthmus.records.v1 import privacy_pb2 as pb
from isthmus.records.v1 import privacy_pb2_grpc as pb_grpc
from isthmus.services.records.domain.retention import KINDS, OF_STREAMS, Retention
from isthmus.services.records.servicer.people import People
from isthmus.services.records.store.privacy import RetentionStore
from sqlalchemy.ext.asyncio import AsyncConnection

Changed = Callable[[AsyncConnection, str, pb.Retention, str], Awaitable[None]]
_LONGEST_SUBJECT = 320
_LONGEST_ID = 100
_LEAST_SUBJECT = 3
_MOST_SECONDS = 100 * 366 * 86_400


class PrivacyServicer(pb_grpc.PrivacyServiceServicer):
    """Takes how long data is kept, and exports and erases one person's data.

    Args:
        database: Opens the transactions in which settings change.
        retention: Knows how long data is kept.
        people: Knows what is held about persons.
        changed: Tells of a change, in the same transaction.
    """

    def __init__(
        self, database: Database, retention: RetentionStore, people: People, changed: Changed
    ) -> None:
        self._database = database
        self._retention = retention
        self._people = people
        self._changed = changed

    async def GetRetention(self, request: pb.GetRetentionRequest, context: object) -> pb.GetRetentionResponse:
        """Tell how long data is kept."""
        tenant_id = current_principal().tenant_id
        own = await self._retention.get(tenant_id, request.stream)
        tenant = await self._retention.get(tenant_id, "") if request.stream else own
        return pb.GetRetentionResponse(
            retention=_message(request.stream, own), effective=_message(request.stream, own.over(tenant))
        )

    async def SetRetention(self, request: pb.SetRetentionRequest, context: object) -> pb.SetRetentionResponse:
        """Set how long data is kept."""
        wanted, caller = _retention(request.retention), current_principal()
        stream = request.retention.stream
        tell(before=_message(stream, await self._retention.get(caller.tenant_id, stream)))
        message = _message(stream, wanted)
        async with self._database.tenant(caller.tenant_id) as connection:
            await self._retention.set(connection, caller.tenant_id, stream, wanted)
            await self._changed(connection, caller.tenant_id, message, caller.subject)
        return pb.SetRetentionResponse(retention=message)

    async def ExportPersonData(
        self, request: pb.ExportPersonDataRequest, context: object
    ) -> AsyncIterator[pb.ExportPersonDataResponse]:
        """Give what is held about a person."""
        _check_subject(request.subject)
        found = self._people.export(current_principal().tenant_id, request.subject, request.resume_token)
        async for answer in found:
            yield answer

    async def ErasePersonData(
        self, request: pb.ErasePersonDataRequest, context: object
    ) -> AsyncIterator[pb.ErasePersonDataResponse]:
        """Erase what is held about a person, or count it."""
        _check_subject(request.subject)
        tenant_id = current_principal().tenant_id
        if request.is_dry_run:
            async for answer in self._people.count(tenant_id, request.subject):
                yield answer
            return
        with validating() as check:
            check.enum("action", request.action, known=pb.ErasePersonDataRequest.Action.values())
            check.text("request_id", request.request_id, longest=_LONGEST_ID)
        removes = request.action == pb.ErasePersonDataRequest.ACTION_DELETE
        erasing = self._people.erase(tenant_id, request.subject, request.request_id, removes=removes)
        async for answer in erasing:
            yield answer

    async def AllowPerson(self, request: pb.AllowPersonRequest, context: object) -> pb.AllowPersonResponse:
        """Let data of a person in again."""
        _check_subject(request.subject)
        was = await self._people.erasures.allow(current_principal().tenant_id, request.subject)
        return pb.AllowPersonResponse(was_suppressed=was)


def _check_subject(subject: str) -> None:
    with validating() as check:
        check.text("subject", subject, longest=_LONGEST_SUBJECT)
        if 0 < len(subject.strip()) < _LEAST_SUBJECT:
            check.add("subject", "TOO_SHORT", "Identify a person by at least three characters.")


def _retention(message: pb.Retention) -> Retention:
    found: dict[str, int] = {}
    given = {field.name: value for field, value in message.ListFields()}
    with validating() as check:
        for kind in (kind for kind in KINDS if kind in given):
            duration: Duration = given[kind]
            check.within(f"retention.{kind}", duration.seconds, least=0, most=_MOST_SECONDS)
            if message.stream and kind not in OF_STREAMS:
                text = "It belongs to the tenant: set it without a stream."
                check.add(f"retention.{kind}", "INVALID", text)
            found[kind] = duration.seconds
    return Retention(**found)


def _message(stream: str, retention: Retention) -> pb.Retention:
    message = pb.Retention(stream=stream)
    for kind in KINDS if not stream else OF_STREAMS:
        seconds = getattr(retention, kind)
        if seconds is not None:
            getattr(message, kind).CopyFrom(Duration(seconds=seconds))
    return message


__all__ = ["PrivacyServicer"]
