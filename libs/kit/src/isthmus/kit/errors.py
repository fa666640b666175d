"""The one table between faults and gRPC statuses, read in both directions."""

import grpc
from isthmus.resilience.faults import Fault


def fault_from_rpc_error(error: grpc.RpcError) -> Fault:
    """Return the fault a peer raised, with its reason, message, metadata and violations."""
    raise NotImplementedError


__all__ = ["fault_from_rpc_error"]
