"""The keys of hashes that keep erased persons out; they lie in the vault, and here in memory only."""

from collections import OrderedDict
from collections.abc import Callable

import grpc
from isthmus.identity.v1 import identity_pb2
from isthmus.identity.v1.identity_pb2_grpc import IdentityServiceStub
from isthmus.kit import acting_for, fault_from_rpc_error

_SECONDS = 5.0
_MOST_KNOWN = 1000


class SuppressionKeys:
    """Asks the identity service once for each tenant's key.

    Args:
        identity: Gives the way to it; called on first use.
    """

    def __init__(self, identity: Callable[[], grpc.aio.Channel]) -> None:
        self._identity = identity
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def of(self, tenant_id: str) -> bytes:
        """Return the key of a tenant.

        Raises:
            RetryLater: The identity service or the vault is away.
        """
        if tenant_id not in self._known:
            purpose = identity_pb2.DeriveKeyRequest.PURPOSE_SUPPRESSIONS
            request = identity_pb2.DeriveKeyRequest(purpose=purpose)
            try:
                with acting_for(tenant_id):
                    stub = IdentityServiceStub(self._identity())
                    answer = await stub.DeriveKey(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                raise fault_from_rpc_error(error) from error
            self._known[tenant_id] = answer.key
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return self._known[tenant_id]


__all__ = ["SuppressionKeys"]
