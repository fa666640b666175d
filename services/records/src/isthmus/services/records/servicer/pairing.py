"""The streams of pairs, behind the hub's side of the connector contract."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import grpc
import msgspec
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.kit import ReceivedEvent, acting_for, current_principal, fault_from_rpc_error
from isthmus.resilience.faults import FixRequest, Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.services.records.domain.pairs import (
    DeleteKind,
    Deletes,
    PairStream,
    Policy,
    Rules,
    Side,
    parse_stream,
)
from isthmus.services.records.domain.pairs.rounds import BACK, Round
from isthmus.services.records.domain.positions import ReadMode, ReadPosition, parse_position
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.servicer import messages
from isthmus.services.records.store.pairs import PairReader, PairRounds, PairWriter
from isthmus.type.v1 import batch_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

_PAGE_RECORDS = 1000
_POLICIES = {
    pb.CONFLICT_POLICY_SOURCE_WINS: Policy.SOURCE,
    pb.CONFLICT_POLICY_DESTINATION_WINS: Policy.DESTINATION,
    pb.CONFLICT_POLICY_NEWEST_WINS: Policy.NEWEST,
    pb.CONFLICT_POLICY_MERGE: Policy.MERGE,
    pb.CONFLICT_POLICY_REVIEW: Policy.REVIEW,
}
_DELETES = {
    pb.DeletePolicy.KIND_TOMBSTONE: DeleteKind.TOMBSTONE,
    pb.DeletePolicy.KIND_IGNORE: DeleteKind.IGNORE,
}
_ROUND_SECONDS = 10.0


class Pairing:
    """Takes note of what sides hold, and gives them what they are to hold.

    Args:
        scheduling: The channel to the service that runs rounds.
        writer: Takes notes.
        rounds: Decides.
        reader: Gives what was decided.
    """

    def __init__(
        self, scheduling: grpc.aio.Channel, writer: PairWriter, rounds: PairRounds, reader: PairReader
    ) -> None:
        self._scheduling = SchedulingServiceStub(scheduling)
        self.writer = writer
        self._rounds = rounds
        self._reader = reader

    async def open(self, target: Writer) -> Writer:
        """Get ready for notes; they are recognised by the flow's key."""
        stream, current = await self._begin(target.tenant_id, target.stream)
        del stream
        return replace(target, flow_id=target.flow_id.removesuffix(BACK), primary_key=current.rules.key)

    async def read(self, request: connector_pb.ReadRequest) -> AsyncIterator[connector_pb.ReadResponse]:
        """Decide the round, then give one side its part."""
        tenant_id = current_principal().tenant_id
        state, version = request.position.state, request.position.schema_version
        after = parse_position(state, version, ReadMode.DELTA)
        stream, current = await self._begin(tenant_id, request.stream)
        until = await self._rounds.decide(tenant_id, stream, current)
        most = min(request.max_batch_records or _PAGE_RECORDS, _PAGE_RECORDS)
        given = sequence = 0
        while True:
            page = await self._reader.for_side(tenant_id, stream, after, most, until=until)
            after = page.position
            if page.records:
                given, sequence = given + len(page.records), sequence + 1
                yield connector_pb.ReadResponse(
                    batch=batch_pb2.Batch(
                        sequence=sequence,
                        encoding=batch_pb2.ENCODING_JSON,
                        records=page.records,
                        keys=page.keys,
                        operations=[
                            batch_pb2.Operation.ValueType(int(operation)) for operation in page.operations
                        ],
                        position=messages.position(after, request.stream),
                    )
                )
            if page.is_last:
                break
        end = messages.position(ReadPosition(after_change=until), request.stream)
        yield connector_pb.ReadResponse(
            end=connector_pb.ReadEnd(position=end, records=given, not_modified=not given)
        )

    async def key_of(self, flow_id: str) -> tuple[str, ...]:
        """Name the fields by which a flow knows records of both sides to be the same."""
        return tuple((await self._ask(flow_id)).flow.destination_key)

    async def ended(self, connection: AsyncConnection, event: ReceivedEvent) -> None:
        """Believe what both sides have taken, as soon as a round has ended, however it did."""
        if not self.is_of_round(event):
            return
        try:
            with acting_for(event.tenant_id):
                answer = await self._ask(event.data["execution"]["flowId"])
        except (Missing, Precondition):
            return  # the flow was deleted, or goes one way by now
        taken = round_of(answer).taken
        await self._rounds.settle(connection, event.tenant_id, answer.flow.flow_id, taken)

    @staticmethod
    def is_of_round(event: ReceivedEvent) -> bool:
        """Tell whether an event is about an execution that has a leg of a round behind it."""
        return bool(event.data.get("execution", {}).get("legs"))

    async def flow_deleted(self, connection: AsyncConnection, event: ReceivedEvent) -> None:
        """Forget the pairs of a flow that is gone; what was decided about its conflicts stays on record."""
        await self._rounds.forget(connection, event.tenant_id, event.subject)

    async def _begin(self, tenant_id: str, name: str) -> tuple[PairStream, Round]:
        stream = parse_stream(name)
        current = round_of(await self._ask(stream.flow_id))
        if not current.execution_id:
            raise Precondition("NO_ROUND", f"No round of flow {stream.flow_id} is running; stop.")
        await self._rounds.begin(tenant_id, stream, current)
        return stream, current

    async def _ask(self, flow_id: str) -> pb.GetRoundResponse:
        try:
            return await self._scheduling.GetRound(
                pb.GetRoundRequest(flow_id=flow_id), timeout=_ROUND_SECONDS
            )
        except grpc.RpcError as error:
            raise fault_from_rpc_error(error) from error


def round_of(answer: pb.GetRoundResponse) -> Round:
    """Translate how a round stands."""
    flow, rules, deletes = answer.flow, answer.flow.conflict_rules, answer.flow.delete_policy
    whole = {Side.SOURCE: answer.is_source_whole, Side.DESTINATION: answer.is_destination_whole}
    positions = {Side.SOURCE: answer.source_position, Side.DESTINATION: answer.destination_position}
    return Round(
        execution_id=answer.execution_id,
        fencing_token=answer.fencing_token,
        rules=Rules(
            policy=_POLICIES.get(flow.conflict_policy, Policy.SOURCE),
            otherwise=_POLICIES.get(rules.otherwise, Policy.REVIEW),
            skew=rules.skew_tolerance.ToTimedelta() if rules.HasField("skew_tolerance") else timedelta(),
            deletes=Deletes(
                kind=_DELETES.get(deletes.kind, DeleteKind.PROPAGATE),
                field=deletes.tombstone_field,
                value=_json(deletes.tombstone_value),
                most=deletes.most_deletions,
            ),
            key=tuple(flow.destination_key),
        ),
        whole=frozenset(side for side, is_whole in whole.items() if is_whole),
        taken={side: _taken(position) for side, position in positions.items()},
        is_requeue=answer.is_requeue,
    )


def _taken(position: batch_pb2.Position) -> int:
    return parse_position(position.state, position.schema_version, ReadMode.DELTA).after_change


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text) if text else True
    except msgspec.DecodeError as error:
        message = "The value of a tombstone must be JSON; write texts in quotation marks."
        raise FixRequest("TOMBSTONE_INVALID", message, path="delete_policy.tombstone_value") from error


__all__ = ["Pairing", "round_of"]
