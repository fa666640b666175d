"""The connector contract as a host serves it, over real connections with real identities."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.host.failures import KIND
from isthmus.host.upstream import UpstreamBackend
from isthmus.kit import fault_from_rpc_error
from isthmus.type.v1 import batch_pb2 as batch

TENANT = "tnt_test"
BINDING = connector.Binding(instance_id="ins_source")
Step = connector.CheckStep


async def steps(stub: Any, binding: connector.Binding) -> dict[str, connector.CheckStep]:
    request = connector.CheckRequest(binding=binding)
    return {answer.step.step: answer.step async for answer in stub.Check(request)}


async def drained(call: Any) -> list[Any]:
    return [answer async for answer in call]


async def refused(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await (drained(call) if hasattr(call, "__aiter__") else call)
    return fault_from_rpc_error(failure.value)


async def requests(
    *batches: batch.Batch, token: int = 1, stream: str = "sink"
) -> AsyncIterator[connector.WriteRequest]:
    opening = connector.WriteOpen(binding=BINDING, stream=stream, flow_id="flw_1", fencing_token=token)
    yield connector.WriteRequest(open=opening)
    for one in batches:
        yield connector.WriteRequest(batch=one)


def numbered(sequence: int, *records: Any) -> batch.Batch:
    encoded = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in records]
    return batch.Batch(sequence=sequence, records=encoded)


async def acks(stub: Any, *batches: batch.Batch, token: int = 1) -> list[connector.BatchAck]:
    answers = [answer async for answer in stub.Write(requests(*batches, token=token))]
    return [answer.ack for answer in answers[1:]]


async def test_describe_tells_who_the_connector_is(stub):
    """
    Identity, schema and contract version need no instance.
    """
    spec = (await stub.Describe(connector.DescribeRequest())).spec

    assert spec.connector_id == "numbers"
    assert spec.contract_version == 1
    assert "count" in spec.configuration_schema


async def test_a_good_instance_passes_every_step(stub):
    """
    A check ends with a sample of real records.
    """
    found = await steps(stub, BINDING)

    assert {step.result for step in found.values()} == {Step.RESULT_PASSED}
    assert set(found) == {"configuration", "reach", "authenticate", "permit", "sample"}


async def test_a_wrong_configuration_skips_the_steps_behind_it(stub):
    """
    An unsaved configuration with a mistake fails its first step, and the message names the field.
    """
    found = await steps(stub, connector.Binding(configuration='{"count": "many"}'))

    assert found["configuration"].result == Step.RESULT_FAILED
    assert "count" in found["configuration"].message
    assert found["sample"].result == found["reach"].result == Step.RESULT_SKIPPED


async def test_a_refused_secret_fails_the_step_authenticate(stub, world):
    """
    The steps before it count as passed, those behind it as skipped.
    """
    world.registry.auth_config_id = "ath_1"
    world.connector.good_token = "another"

    found = await steps(stub, BINDING)

    assert found["authenticate"].result == Step.RESULT_FAILED
    assert found["authenticate"].remedy
    assert found["permit"].result == Step.RESULT_SKIPPED


async def test_an_unsaved_configuration_is_tried_with_its_own_credential(stub, world):
    """
    The host leases the credential by itself; the registry never sees the secret.
    """
    world.connector.good_token = "old"

    found = await steps(stub, connector.Binding(configuration="{}", auth_config_id="ath_1"))

    assert found["authenticate"].result == Step.RESULT_PASSED
    assert world.vault.leases == 1


async def test_an_unknown_instance_is_an_error_of_its_own(stub):
    """
    What the registry says reaches the caller with its reason.
    """
    request = connector.CheckRequest(binding=connector.Binding(instance_id="ins_unknown"))

    fault = await refused(stub.Check(request))

    assert fault.reason == "INSTANCE_UNKNOWN"


async def test_streams_are_listed_page_by_page(stub):
    """
    Discover gives every stream once, in order.
    """
    first = await stub.Discover(connector.DiscoverRequest(binding=BINDING, page_size=1))
    second = await stub.Discover(
        connector.DiscoverRequest(binding=BINDING, page_size=1, page_token=first.next_page_token)
    )

    assert [one.stream for one in (*first.streams, *second.streams)] == ["numbers", "sink"]
    assert second.next_page_token == ""


async def test_a_sample_ends_at_its_limit(stub):
    """
    Reading with a limit gives that many records and an end.
    """
    request = connector.ReadRequest(binding=BINDING, stream="numbers", limit=4)

    answers = [answer async for answer in stub.Read(request)]

    assert sum(len(answer.batch.records) for answer in answers) == 4
    assert answers[-1].HasField("end")


async def test_reading_goes_on_behind_a_position(stub):
    """
    The position of a batch starts the next reading right behind it.
    """
    request = connector.ReadRequest(binding=BINDING, stream="numbers", mode=connector.READ_MODE_FULL)
    first = (await drained(stub.Read(request)))[0].batch
    request.position.CopyFrom(first.position)

    rest = [answer.batch async for answer in stub.Read(request) if answer.HasField("batch")]

    assert [key for one in rest for key in one.keys] == [str(number) for number in range(3, 10)]


async def test_an_unknown_stream_is_named(stub):
    """
    The fault keeps reason and kind on its way.
    """
    fault = await refused(stub.Read(connector.ReadRequest(binding=BINDING, stream="letters", mode=1)))

    assert fault.reason == "STREAM_UNKNOWN"
    assert fault.metadata[KIND] == "KIND_NOT_FOUND"


async def test_batches_are_acknowledged_once_durable(stub, world):
    """
    Each acknowledgement accounts for every record of its batch.
    """
    one, two = await acks(stub, numbered(1, {"id": 1}, {"id": 2, "name": "bad"}), numbered(2, b"not json"))

    assert (one.updated, [outcome.index for outcome in one.outcomes]) == (1, [1])
    assert two.outcomes[0].reason == "RECORD_INVALID"
    assert world.connector.written == {"1": {"id": 1}}


async def test_a_batch_that_comes_again_takes_no_effect_and_tells_the_same(stub, world):
    """
    Repetition on another stream is recognised by flow, token and sequence.
    """
    first = await acks(stub, numbered(1, {"id": 1}, {"id": 2, "name": "bad"}))
    batches = world.connector.batches

    again = await acks(stub, numbered(1, {"id": 1}, {"id": 2, "name": "bad"}))

    assert world.connector.batches == batches
    assert again[0].repeated_batch
    assert again[0].outcomes == first[0].outcomes
    assert again[0].updated == first[0].updated


async def test_an_older_attempt_is_fenced(stub):
    """
    After a newer token has been seen the older one is refused.
    """
    await acks(stub, numbered(1, {"id": 1}), token=2)

    fault = await refused(stub.Write(requests(numbered(1, {"id": 1}), token=1)))

    assert fault.reason == "FENCED"


async def test_a_gap_between_batches_is_refused(stub):
    """
    A missing batch must not go unnoticed.
    """
    fault = await refused(stub.Write(requests(numbered(1, {"id": 1}), numbered(3, {"id": 3}))))

    assert fault.reason == "BATCH_INVALID"


async def test_a_stream_that_cannot_be_written_says_so(stub):
    """
    Writing to a pure source is a mistake in the request.
    """
    fault = await refused(stub.Write(requests(numbered(1, {"id": 1}), stream="numbers")))

    assert fault.reason == "WRITE_MODE_UNSUPPORTED"


async def test_unknown_actions_webhooks_and_hooks_are_told_apart(stub):
    """
    What the connector does not offer is answered with its own reason.
    """
    action = await refused(stub.Invoke(connector.InvokeRequest(binding=BINDING, action="x", input="{}")))
    webhook = await refused(stub.Receive(connector.ReceiveRequest(binding=BINDING, kind="x")))
    hook = await refused(stub.NotifyInstance(connector.NotifyInstanceRequest(binding=BINDING, change=1)))
    secret = await refused(stub.RotateSecret(connector.RotateSecretRequest(binding=BINDING, stage=1)))

    assert (action.reason, webhook.reason) == ("ACTION_UNKNOWN", "WEBHOOK_UNKNOWN")
    assert (hook.reason, secret.reason) == ("CAPABILITY_MISSING", "CAPABILITY_MISSING")


async def test_a_host_changes_no_secret_of_another_connector(host):
    """
    Hosts may call what connectors offer, and this is the credentials service's alone.
    """
    work = {"tenant": TENANT, "permissions": ("connector.*.*",), "work_on": BINDING.instance_id}
    channel = host.channel(subject="host:other", mesh=True, **work)
    request = connector.RotateSecretRequest(binding=BINDING, stage=1)

    fault = await refused(ConnectorServiceStub(channel).RotateSecret(request))

    assert fault.reason == "PERMISSION_MISSING"


async def test_a_caller_without_the_permission_is_refused(host):
    """
    The chassis guards every call of the contract.
    """
    stub = ConnectorServiceStub(host.channel(tenant=TENANT, permissions=("registry.*.*",)))

    fault = await refused(stub.Discover(connector.DiscoverRequest(binding=BINDING)))

    assert fault.reason == "PERMISSION_MISSING"


async def test_the_host_makes_itself_known_and_leaves(hosting, world):
    """
    Connector and host are registered with the address at which the host answers, until it drains.
    """
    async with hosting() as (_, service):
        stub = ConnectorServiceStub(service.channel(tenant=TENANT))
        await stub.Describe(connector.DescribeRequest())
        while not world.registry.hosts:
            await stub.Describe(connector.DescribeRequest())
        known = world.registry.hosts[0]

    assert world.registry.connectors[0].connector_id == known.connector_id == "numbers"
    assert known.address == service.address
    assert set(world.registry.gone) == {known.host_id}


async def test_a_connector_behind_the_host_does_the_same_as_one_inside(hosting, world):
    """
    An attempt through `--upstream` ends with the same records and counts as one in process.
    """
    world.registry.configuration = {"count": 50, "page": 7}
    inside = await world.run()
    records = dict(world.hub.data)
    world.hub.data.clear()
    world.hub.versions = 0
    world.scheduling.checkpoints.clear()

    async with hosting() as (_, service):
        world.backend = await UpstreamBackend.open(service.channel(tenant=TENANT), "numbers")
        behind = await world.run()

    assert world.hub.data == records
    assert behind.outcome == inside.outcome
    assert (behind.counts.read, behind.counts.created) == (inside.counts.read, inside.counts.created)


async def test_another_connector_upstream_is_refused(hosting, world):
    """
    A host in front of the wrong connector must not start.
    """
    async with hosting() as (_, service):
        with pytest.raises(Exception, match="letters"):
            await UpstreamBackend.open(service.channel(tenant=TENANT), "letters")


@pytest.mark.parametrize(
    ("stream", "generation", "reason"),
    [
        ("numbers", "exe_1", "GENERATIONS_UNSUPPORTED"),
        ("sink", "", "BATCH_INVALID"),
        ("none", "exe_1", "STREAM_UNKNOWN"),
    ],
)
async def test_refreshes_are_ended_only_where_absence_can_be_told(stub, stream, generation, reason):
    """
    A stream that cannot tell says so, before anything is removed.
    """
    opening = connector.WriteOpen(
        binding=BINDING, stream=stream, flow_id="flw_1", fencing_token=1, generation_id=generation
    )

    fault = await refused(stub.FinishGeneration(connector.FinishGenerationRequest(open=opening)))

    assert fault.reason == reason


async def test_a_refresh_is_refused_before_anything_is_sent(stub):
    """
    Whoever opens a write for a stream that cannot tell what is absent learns it at once.
    """

    async def opening():
        message = connector.WriteOpen(
            binding=BINDING, stream="sink", flow_id="flw_1", fencing_token=1, generation_id="exe_1"
        )
        yield connector.WriteRequest(open=message)

    fault = await refused(stub.Write(opening()))

    assert fault.reason == "GENERATIONS_UNSUPPORTED"
    assert "absent" in fault.message


@pytest.fixture
def lined(world: Any, monkeypatch: Any) -> None:
    """Lets the sink take lines of text."""
    streams = world.connector.streams

    async def taking(self: Any) -> Any:
        return [replace(one, takes_lines=one.stream == "sink") for one in await streams(self)]

    monkeypatch.setattr(world.connector, "streams", taking)


def lines(text: bytes = b"1\x1fone\n2\x1fbad\n3\x1fNone\n", count: int = 3, **more: Any) -> batch.Batch:
    columns = [batch.Column(name="id", type=batch.Column.TYPE_INTEGER), batch.Column(name="name")]
    given = {"columns": columns, "records": [text], "line_count": count, **more}
    return batch.Batch(sequence=1, **{"encoding": batch.ENCODING_TEXT_LINES, **given})


async def test_lines_are_written_as_the_records_that_they_stand_for(stub, world, lined):
    """
    The destination offers to take them, and refuses a record at its place.
    """
    answers = await drained(stub.Write(requests(lines())))

    assert list(answers[0].ready.encodings) == [batch.ENCODING_TEXT_LINES]
    assert (answers[1].ack.updated, [one.index for one in answers[1].ack.outcomes]) == (2, [1])
    assert world.connector.written == {"1": {"id": 1, "name": "one"}, "3": {"id": 3}}


@pytest.mark.parametrize(
    "malformed",
    [
        lines(count=2),
        lines(b"1\x1fone\n2\n", 2),
        lines(b"1\x1fone\nx\x1ftwo\n", 2),
        lines(b"1\x1fone\n2\x1f\xff\n", 2),
        lines(columns=[batch.Column(name="id", type=7), batch.Column(name="name")]),
        lines(columns=[batch.Column(name="id"), batch.Column(name="id")]),
        lines(columns=[]),
        lines(records=[b"1\x1fone\n", b"2\x1ftwo\n"], line_count=2),
        lines(records=[]),
        lines(keys=["1"]),
        lines(operations=[batch.OPERATION_DELETE]),
        lines(b"1\x1fone\n" * 1001, 1001),
        lines(b"1\x1f" + b"o" * 600_000 + b"\n2\x1f" + b"o" * 600_000 + b"\n", 2),
    ],
    ids=range(13),
)
async def test_malformed_lines_are_refused_as_a_whole(stub, world, lined, malformed):
    """
    Nothing of them is written, and it is plain who has to mend what.
    """
    fault = await refused(stub.Write(requests(malformed)))

    assert (fault.reason, world.connector.written) == ("BATCH_INVALID", {})


@pytest.mark.parametrize("encoding", [batch.ENCODING_TEXT_LINES, batch.ENCODING_ARROW_IPC, 99])
async def test_what_was_not_offered_is_refused(stub, encoding):
    """
    A stream that offers nothing takes JSON only.
    """
    fault = await refused(stub.Write(requests(lines(b"1\x1fone\n", 1, encoding=encoding))))
    [answer] = await drained(stub.Write(requests()))

    assert fault.reason == "ENCODING_UNSUPPORTED"
    assert not answer.ready.encodings
