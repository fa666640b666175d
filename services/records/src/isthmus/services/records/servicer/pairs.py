"""Translates the RPCs about pairs of two-way flows and their conflicts."""

from isthmus.kit import PageRequest
from isthmus.records.v1 import pairs_pb2 as pb
from isthmus.records.v1 import pairs_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Missing


class PairsServicer(pb_grpc.PairsServiceServicer):
    """Serves what people ask about pairs, and takes their decisions."""

    async def ListPairs(self, request: pb.ListPairsRequest, context: object) -> pb.ListPairsResponse:
        """List the pairs of a flow, oldest first."""
        PageRequest.parse(request.page_size, request.page_token, keys=["pair"])
        return pb.ListPairsResponse()

    async def ListConflicts(
        self, request: pb.ListConflictsRequest, context: object
    ) -> pb.ListConflictsResponse:
        """List conflicts, oldest first."""
        PageRequest.parse(request.page_size, request.page_token, keys=["conflict"])
        return pb.ListConflictsResponse()

    async def GetConflict(self, request: pb.GetConflictRequest, context: object) -> pb.GetConflictResponse:
        """Read one conflict with both versions."""
        raise _unknown(request.conflict_id)

    async def ResolveConflict(
        self, request: pb.ResolveConflictRequest, context: object
    ) -> pb.ResolveConflictResponse:
        """Decide a conflict."""
        raise _unknown(request.conflict_id)


def _unknown(conflict_id: str) -> Missing:
    message = f"There is no conflict {conflict_id!r}; ListConflicts shows what there is."
    return Missing("CONFLICT_UNKNOWN", message, path="conflict_id")


__all__ = ["PairsServicer"]
