"""Every RPC refuses callers without identity and callers without its permission."""

import pytest
from isthmus.registry.v1 import registry_pb2 as pb

from .conftest import fault_of, stream_fault_of

METHODS = list(pb.DESCRIPTOR.services_by_name["RegistryService"].methods)


async def refusal(stub, method) -> str:
    call = getattr(stub, method.name)(method.input_type._concrete_class())
    fault = stream_fault_of(call) if method.server_streaming else fault_of(call)
    return (await fault).reason


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_nobody_is_refused(callers, method):
    """
    Without identity no RPC does anything.
    """
    assert await refusal(callers.nobody(), method) == "CALLER_UNKNOWN"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_the_wrong_permission_is_refused(callers, method):
    """
    A permission for something else opens no RPC.
    """
    assert await refusal(callers.tenant("tnt_p", "monitoring.health.read"), method) == "PERMISSION_MISSING"
