"""What the client does when a service has too much to do."""

from concurrent import futures

import grpc
import pytest
from isthmus.client.mesh import _OPTIONS
from isthmus.kit.errors import answer_of
from isthmus.resilience.faults import LimitReached


@pytest.fixture
def service():
    """Refuses as a service of the mesh does, as often as it is told to."""
    refusals, calls = [], []

    def answer(request, context):
        calls.append(request)
        if refusals:
            code, message, trailers = answer_of(refusals.pop())
            context.set_trailing_metadata(trailers)
            context.abort(code, message)
        return b"done"

    server = grpc.server(futures.ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("a.B", {"C": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
        yield refusals, calls, channel.unary_unary("/a.B/C")
    server.stop(None)


def test_a_refused_call_is_repeated_when_it_is_told_to(service):
    """
    Too much to do for a moment is nothing that a person hears of.
    """
    refusals, calls, call = service
    refusals += [LimitReached("TENANT_BUSY", "busy", retry_after=0.01) for _ in range(3)]

    assert call(b"", timeout=30) == b"done"
    assert len(calls) == 4


def test_what_waiting_does_not_help_is_told_at_once(service):
    """
    Nobody waits a minute for a quota.
    """
    refusals, calls, call = service
    refusals += [LimitReached("QUOTA_EXCEEDED", "full", retry_after=60.0) for _ in range(3)]
    with pytest.raises(grpc.RpcError) as refused:
        call(b"", timeout=30)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(calls) == 1
