"""A token that the system refuses while it still holds: one forced refresh, one repetition, then an error."""

from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Bound
from isthmus.host.servicer import ConnectorServicer
from isthmus.kit import Principal
from isthmus.kit.principal import acting_as
from isthmus.sdk.failures import AuthenticationFailure

BINDING = connector.Binding(instance_id="ins_1")
Step = connector.CheckStep


class Resolver:
    """Lends one token after another, and remembers which were refused."""

    def __init__(self):
        self.token, self.refused, self.may_renew = 1, [], True

    def refuse(self, bound):
        self.refused.append(bound.token_id)

    async def resolve(self, tenant_id, binding):
        return Bound(tenant_id, "ins_1", auth_config_id="ath_1", token_id=f"tok_{self.token}")

    configuration = resolve

    async def authenticated(self, bound):
        return bound

    async def renewed(self, bound):
        self.token += self.may_renew
        return replace(bound, token_id=f"tok_{self.token}")


class Backend:
    """Takes one token; says no to all others, whatever it is asked."""

    good = "tok_2"
    spec = connector.ConnectorSpec(capabilities=[connector.CAPABILITY_LIFECYCLE])

    def __init__(self):
        self.asked = []

    @asynccontextmanager
    async def connect(self, bound):
        self.bound = bound
        yield self

    async def check(self, bound):
        self.asked.append(bound.token_id)
        good = bound.token_id == self.good
        yield Step(step="reach", result=Step.RESULT_PASSED)
        yield Step(step="authenticate", result=Step.RESULT_PASSED if good else Step.RESULT_FAILED)

    def _answer(self, answer):
        self.asked.append(self.bound.token_id)
        if self.bound.token_id != self.good:
            raise AuthenticationFailure("AUTHENTICATION_FAILED", "The token is refused; renew it.")
        return answer

    async def streams(self, *, fresh=False):
        return self._answer([connector.StreamSpec(stream="one")])

    async def partitions(self, stream, *, mode=0, known=()):
        return self._answer([""])

    async def finish(self, request):
        return self._answer(connector.FinishGenerationResponse())

    async def invoke(self, request):
        return self._answer(connector.InvokeResponse())

    async def receive(self, request):
        return self._answer(connector.ReceiveResponse())

    async def notify(self, change):
        return self._answer(None)


@pytest.fixture
def world():
    resolver, backend = Resolver(), Backend()
    reports = SimpleNamespace(operation=lambda *_: None)
    return SimpleNamespace(
        resolver=resolver, backend=backend, servicer=ConnectorServicer(backend, resolver, reports)
    )


CALLER = Principal("service:registry", "tnt_1", frozenset({"*"}), "mesh")
OPEN = connector.WriteOpen(binding=BINDING, generation_id="gen_1")
CALLS = {
    "Discover": connector.DiscoverRequest(binding=BINDING),
    "FinishGeneration": connector.FinishGenerationRequest(open=OPEN),
    "Invoke": connector.InvokeRequest(binding=BINDING, action="send"),
    "Receive": connector.ReceiveRequest(binding=BINDING),
    "NotifyInstance": connector.NotifyInstanceRequest(binding=BINDING),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_refused_token_is_replaced_and_the_call_repeated(world, name):
    """
    Whoever called notices nothing.
    """
    with acting_as(CALLER):
        await getattr(world.servicer, name)(CALLS[name], None)

    assert world.backend.asked == ["tok_1", "tok_2"]


@pytest.mark.parametrize("may_renew", [True, False], ids=["the next one, too", "no other one"])
@pytest.mark.parametrize("name", CALLS)
async def test_what_is_refused_again_is_an_error_with_a_remedy(world, name, may_renew):
    """
    Once, not for ever; where there is no other token not even once.
    """
    world.backend.good, world.resolver.may_renew = "none", may_renew

    with acting_as(CALLER), pytest.raises(AuthenticationFailure, match="renew it"):
        await getattr(world.servicer, name)(CALLS[name], None)

    assert len(world.backend.asked) == 1 + may_renew
    assert world.resolver.refused[-1] == world.backend.asked[-1]


async def test_a_check_tells_of_the_token_that_counts(world):
    """
    The refusal of the one before is not shown.
    """
    request = connector.CheckRequest(binding=BINDING)
    with acting_as(CALLER):
        steps = [answer.step async for answer in world.servicer.Check(request, None)]

    assert [(step.step, step.result) for step in steps] == [
        ("reach", Step.RESULT_PASSED),
        ("authenticate", Step.RESULT_PASSED),
    ]
    assert world.backend.asked == ["tok_1", "tok_2"]
