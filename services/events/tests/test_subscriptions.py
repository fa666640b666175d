"""Subscriptions: kept, matched, and acted on once an event."""

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest
from isthmus.events.v1 import events_pb2 as pb
from isthmus.events.v1.events_pb2_grpc import EventsServiceStub
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, Precondition, RetryLater
from isthmus.services.events.domain import ActionType, SubscriptionSpec, meets

NOW = datetime(2026, 1, 31, tzinfo=UTC)


async def quiet():
    """Let what should not happen have the time to happen."""
    await asyncio.sleep(0.4)


async def test_a_subscription_is_stored_as_sent(bench):
    """
    What a caller decides comes back, with id, times and an etag added.
    """
    made = await bench.subscribe(name="orders", instance_id="ins_1", filter_criteria='{"a.b": 1}')
    read = await bench.stub.GetSubscription(pb.GetSubscriptionRequest(subscription_id=made.subscription_id))

    assert read.subscription == made
    assert (made.name, json.loads(made.filter_criteria), made.etag) == ("orders", {"a.b": 1}, "1")


async def test_a_repeated_creation_gives_the_first_subscription(bench):
    """
    The same request id creates once; a name is taken once.
    """
    first = await bench.subscribe("r1", name="orders")
    again = await bench.subscribe("r1", name="orders")
    fault = await bench.refused(bench.subscribe(name="orders"))

    assert first == again
    assert (type(fault), fault.reason) == (AlreadyExists, "SUBSCRIPTION_NAME_TAKEN")


@pytest.mark.parametrize(
    ("action", "config", "path"),
    [
        ("SYNC", "{}", "action_config.flow_id"),
        ("SYNC", '{"flow_id": 7}', "action_config.flow_id"),
        ("SYNC", '{"flow_id": "flw_gone"}', "action_config.flow_id"),
        ("NOTIFICATION", "", "action_config.message"),
        ("NOTIFICATION", '{"message": "x", "color": "red"}', "action_config.color"),
        ("NOTIFICATION", "nonsense", "action_config"),
        ("NOTIFICATION", "[]", "action_config"),
    ],
)
async def test_an_action_that_cannot_be_done_is_refused(bench, action, config, path):
    """
    Creating and changing name the field to mend.
    """
    bench.scheduling.gone.add("flw_gone")
    made = await bench.subscribe()
    wrong = {"action_type": f"ACTION_TYPE_{action}", "action_config": config}
    created = await bench.refused(bench.subscribe(**wrong))
    changed = bench.subscription(subscription_id=made.subscription_id, **wrong)
    request = pb.UpdateSubscriptionRequest(subscription=changed)
    updated = await bench.refused(bench.stub.UpdateSubscription(request))

    assert (type(created), created.reason, updated.reason) == (
        FixRequest,
        "ACTION_CONFIG_INVALID",
        "ACTION_CONFIG_INVALID",
    )
    assert path in [violation.path for violation in created.violations]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"event_type": ""},
        {"event_type": "a*b"},
        {"filter_criteria": "[1]"},
        {"action_type": "ACTION_TYPE_UNSPECIFIED"},
        {"action_type": 99},
    ],
)
async def test_a_wrong_field_is_refused(bench, wrong):
    """
    A subscription that could never meet an event is not stored.
    """
    fault = await bench.refused(bench.subscribe(**wrong))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")


@pytest.mark.parametrize("expression", ["event.data.", "1 + 1", "record.x == 1"])
async def test_an_expression_that_is_no_condition_is_refused(bench, expression):
    """
    It is said where and why, before anything is stored.
    """
    fault = await bench.refused(bench.subscribe(filter_expression=expression))

    assert (type(fault), fault.reason, fault.path) == (
        FixRequest,
        "FILTER_INVALID",
        "subscription.filter_expression",
    )


async def test_an_expression_is_kept(bench):
    """
    What was said is what is shown.
    """
    made = await bench.subscribe(filter_expression="event.data.severity > 3")

    assert made.filter_expression == "event.data.severity > 3"


async def test_updates_need_the_present_etag_and_a_free_name(bench):
    """
    Whoever changes a subscription says which form of it was read.
    """
    made, other = await bench.subscribe(name="one"), await bench.subscribe(name="two")
    made.event_type = "com.other.*"
    request = pb.UpdateSubscriptionRequest(subscription=made, etag="1")
    changed = (await bench.stub.UpdateSubscription(request)).subscription
    late = await bench.refused(bench.stub.UpdateSubscription(request))
    other.name = "one"
    taken = await bench.refused(
        bench.stub.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=other))
    )

    assert (changed.event_type, changed.etag) == ("com.other.*", "2")
    assert (type(late), late.reason) == (Conflict, "ETAG_MISMATCH")
    assert taken.reason == "SUBSCRIPTION_NAME_TAKEN"


async def test_what_is_not_there_is_missing(bench):
    """
    Unknown subscriptions are named as such; deleting one twice is no error.
    """
    unknown = bench.subscription(subscription_id="sub_x")
    faults = [
        await bench.refused(bench.stub.GetSubscription(pb.GetSubscriptionRequest(subscription_id="sub_x"))),
        await bench.refused(
            bench.stub.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=unknown))
        ),
    ]
    made = await bench.subscribe()
    late = pb.DeleteSubscriptionRequest(subscription_id=made.subscription_id, etag="9")
    mismatch = await bench.refused(bench.stub.DeleteSubscription(late))
    for _ in range(2):
        request = pb.DeleteSubscriptionRequest(subscription_id=made.subscription_id)
        await bench.stub.DeleteSubscription(request)

    assert {(type(fault), fault.reason) for fault in faults} == {(Missing, "SUBSCRIPTION_UNKNOWN")}
    assert mismatch.reason == "ETAG_MISMATCH"


async def test_lists_are_paged(bench):
    """
    Pages follow one another, oldest first.
    """
    made = [(await bench.subscribe()).subscription_id for _ in range(3)]
    first = await bench.stub.ListSubscriptions(pb.ListSubscriptionsRequest(page_size=2))
    request = pb.ListSubscriptionsRequest(page_size=2, page_token=first.next_page_token)
    second = await bench.stub.ListSubscriptions(request)

    assert [one.subscription_id for one in [*first.subscriptions, *second.subscriptions]] == made


async def test_changes_of_subscriptions_are_events(bench):
    """
    Whoever creates, changes or deletes one is told.
    """
    made = await bench.subscribe()
    await bench.stub.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=made))
    await bench.stub.DeleteSubscription(pb.DeleteSubscriptionRequest(subscription_id=made.subscription_id))
    events = await bench.arrived(3, types=["isthmus.events.subscription.*"])

    assert [event.type.split(".")[3] for event in events] == ["deleted", "updated", "created"]


async def test_an_event_is_noted_in_the_log(bench):
    """
    The entry says what the subscription says, and which event it was.
    """
    made = await bench.subscribe(instance_id="ins_7", action_config='{"message": "An order came in."}')
    event = await bench.publish(subject="ins_7")
    (entry,) = await bench.until(lambda: bench.notices(made))

    assert (entry.message, entry.instance_id, entry.operation) == (
        "An order came in.",
        "ins_7",
        "subscription",
    )
    assert json.loads(entry.details)["event_id"] == event.event_id


async def test_each_event_is_noted_once(bench):
    """
    However often an event is delivered, and however often noting it fails at first.
    """
    made = await bench.subscribe(event_type="isthmus.registry.*")
    bench.monitoring.failures = [RetryLater("STARTING", "wait"), RetryLater("STARTING", "wait")]
    for _ in range(3):
        await bench.happen("registry", "instance", "created", {}, event_id="evt_same")
    await bench.happen("registry", "instance", "deleted", {})
    await bench.until(lambda: len(bench.notices(made)) >= 2)
    await quiet()

    assert len(bench.notices(made)) == 2


async def test_an_event_starts_a_flow(bench):
    """
    The start names the event as its reason and is repeatable.
    """
    await bench.subscribe_flow("flw_started")
    event = await bench.publish()
    (start,) = await bench.until(lambda: bench.scheduling.starts("flw_started"))

    assert (start.event_id, bool(start.request_id)) == (event.event_id, True)


async def test_events_that_come_while_the_flow_is_busy_lead_to_one_start(bench):
    """
    One start after the flow's end makes up for all of them.
    """
    flow_id = f"flw_{time.monotonic_ns()}"
    await bench.subscribe_flow(flow_id)
    bench.scheduling.busy.add(flow_id)
    for _ in range(5):
        last = await bench.publish()
    await quiet()
    meanwhile = bench.scheduling.starts(flow_id)
    bench.scheduling.busy.discard(flow_id)
    await bench.until(lambda: bench.scheduling.starts(flow_id))
    await quiet()

    assert meanwhile == []
    assert [start.event_id for start in bench.scheduling.starts(flow_id)] == [last.event_id]


async def test_a_flow_that_cannot_start_is_told_to_its_owner(bench):
    """
    What waiting does not mend ends with a warning in the log.
    """
    made = await bench.subscribe_flow("flw_off")
    bench.scheduling.failures = [Precondition("FLOW_INACTIVE", "Activate the flow first.")]
    await bench.publish()
    (entry,) = await bench.until(lambda: bench.notices(made))
    await quiet()

    assert entry.type == entry.TYPE_WARNING
    assert "Activate the flow first." in entry.message
    assert bench.scheduling.starts("flw_off") == []


async def test_what_nobody_reported_on_is_done_again(open_bench):
    """
    Replicas that act at the same time act once, and one that stops in between is made up for.
    """
    async with open_bench(replicas=2) as benches:
        bench = benches("tnt_two")
        made = await bench.subscribe()
        for _ in range(6):
            await asyncio.gather(*(bench.publish() for _ in range(5)))
        await bench.until(lambda: len(bench.notices(made)) == 30)
        await quiet()

    assert bench.monitoring.calls == 30


def spec(**more):
    defaults = {"name": "x", "event_type": "a.*", "action_type": ActionType.NOTIFICATION, "action_config": {}}
    return SubscriptionSpec(**{**defaults, **more})


@pytest.mark.parametrize(
    ("wanted", "data", "expected"),
    [
        ({}, {}, True),
        ({"event_type": "a.b"}, {}, True),
        ({"event_type": "a"}, {}, False),
        ({"is_active": False}, {}, False),
        ({"criteria": {"x": 1}}, {"x": 1}, True),
        ({"criteria": {"x": 1}}, {"x": "1"}, True),
        ({"criteria": {"x": "1"}}, {"x": 1}, False),
        ({"criteria": {"x": 1}}, {"x": True}, False),
        ({"criteria": {"x": None}}, {}, False),
        ({"criteria": {"x": None}}, {"x": None}, True),
        ({"criteria": {"a.b": "c", "d": False}}, {"a": {"b": "c"}, "d": False}, True),
        ({"criteria": {"a.b.c": 1}}, {"a": {"b": 1}}, False),
        ({"instance_id": "ins_1"}, {"sourceInstanceId": "ins_1"}, True),
        ({"instance_id": "ins_1"}, {"instance": {"instanceId": "ins_1"}}, True),
        ({"instance_id": "ins_1"}, {"instance": {"instanceId": "ins_2"}}, False),
        ({"instance_id": "subject"}, {}, True),
        ({"expression": "event.data.severity > 3 && event.type.startsWith('a.')"}, {"severity": 4}, True),
        ({"expression": "event.data.severity > 3"}, {"severity": 3}, False),
        ({"expression": "event.data.severity > 3"}, {"severity": "high"}, False),
        ({"expression": "event.data.severity > 3"}, {}, False),
        ({"expression": "now > timestamp('2020-01-01T00:00:00Z')"}, {}, True),
        ({"expression": "true", "criteria": {"x": 1}}, {"x": 2}, False),
    ],
)
def test_when_an_event_meets_a_subscription(wanted, data, expected):
    """
    Type, instance and every criterion have to fit.
    """
    assert meets(spec(**wanted), "a.b", "subject", data, NOW) is expected


@pytest.mark.parametrize(
    "data", [{"flowId": "flw_1"}, {"execution": {"flowId": "flw_1"}}, {"flow": {"flowId": "flw_1"}}]
)
def test_a_flow_is_not_started_by_its_own_events(data):
    """
    A flow that starts itself would run for ever.
    """
    own = spec(action_type=ActionType.SYNC, action_config={"flow_id": "flw_1"})
    other = spec(action_type=ActionType.SYNC, action_config={"flow_id": "flw_2"})

    assert (meets(own, "a.b", "", data, NOW), meets(other, "a.b", "", data, NOW)) == (False, True)


async def test_another_tenant_finds_nothing_and_meets_nothing(bench, benches):
    """
    Subscriptions are seen, changed and met inside one tenant.
    """
    made = await bench.subscribe(name="mine")
    stranger = benches("tnt_stranger_s")
    await stranger.subscribe(name="mine")
    await stranger.publish()
    own = pb.UpdateSubscriptionRequest(subscription=made)
    request = pb.DeleteSubscriptionRequest(subscription_id=made.subscription_id)
    fault = await bench.refused(stranger.stub.UpdateSubscription(own))
    await stranger.stub.DeleteSubscription(request)
    await quiet()
    listed = await bench.stub.ListSubscriptions(pb.ListSubscriptionsRequest())

    assert fault.reason == "SUBSCRIPTION_UNKNOWN"
    assert list(listed.subscriptions) == [made]
    assert (bench.notices(made), await bench.events(types=["com.*"])) == ([], [])


@pytest.mark.parametrize(
    ("rpc", "request_type"),
    [
        (method.name, getattr(pb, method.input_type.name))
        for method in pb.DESCRIPTOR.services_by_name["EventsService"].methods
        if method.name != "TailEvents"
    ],
)
async def test_every_call_needs_its_permission(bench, rpc, request_type):
    """
    Without permissions nothing is read and nothing is done.
    """
    powerless = EventsServiceStub(bench.service.channel(tenant=bench.tenant, permissions=[]))
    fault = await bench.refused(getattr(powerless, rpc)(request_type()))

    assert fault.reason == "PERMISSION_MISSING"
