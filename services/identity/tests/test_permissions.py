"""Every RPC refuses callers without identity and callers without its permission."""

import pytest
from isthmus.identity.v1 import identity_pb2 as pb

from .conftest import fault_of

METHODS = pb.DESCRIPTOR.services_by_name["IdentityService"].methods


@pytest.mark.parametrize("method", list(METHODS), ids=lambda method: method.name)
async def test_nobody_is_refused(callers, method):
    """
    Without identity no RPC does anything.
    """
    call = getattr(callers.nobody(), method.name)(method.input_type._concrete_class())

    assert (await fault_of(call)).reason == "CALLER_UNKNOWN"


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.name != "GetCaller"], ids=lambda method: method.name
)
async def test_the_wrong_permission_is_refused(callers, method):
    """
    A permission for something else opens no RPC.
    """
    stub = callers.mesh("monitoring.health.read", tenant="tnt_x")
    call = getattr(stub, method.name)(method.input_type._concrete_class())

    assert (await fault_of(call)).reason == "PERMISSION_MISSING"
