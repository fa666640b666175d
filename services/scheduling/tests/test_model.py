"""A model of hosts that read, store positions, fall silent and come back, against the real service."""

import time
from dataclasses import dataclass, field

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status
TOTAL = 50
STEPS = ("read", "store", "renew", "stop", "fail", "fall silent", "late store", "late finish", "repeat store")


@dataclass
class Model:
    """What must be true: how far the destination durably is, and who holds the lease."""

    stored: int = 0
    read: int = 0
    began: int = 0
    lease: object = None
    zombies: list = field(default_factory=list)

    @property
    def done(self):
        """Records this attempt has read since it began."""
        return self.read - self.began


async def take_over(bench, model, execution_id):
    """Acquire the lease as soon as it is due and go on where the last position is."""

    async def acquired():
        try:
            return await bench.host.acquire(execution_id)
        except grpc.RpcError:
            return None

    model.lease = await bench.until(acquired)
    points = [int(point.position.state) for point in model.lease.answer.checkpoints]
    assert points == ([model.stored] if model.stored else [])
    model.began = model.read = model.stored


async def step(bench, model, name, amount):
    """Do one thing a host may do; what a zombie does has to be refused."""
    host, lease = bench.host, model.lease
    position = bench.position(str(model.read))
    if name == "read":
        model.read = min(model.read + amount, TOTAL)
    elif name == "store" and model.read:
        await host.commit(lease, bench.counts(model.done), position)
        model.stored = model.read
    elif name == "repeat store" and model.stored > model.began:
        done = model.stored - model.began
        await host.commit(lease, bench.counts(done), bench.position(str(model.stored)))
    elif name == "renew":
        await host.renew(lease, bench.counts(model.done))
    elif name in {"stop", "fail"}:
        await host.fail(lease, "STOPPED" if name == "stop" else "TRANSIENT", bench.counts(model.done))
        model.lease = None
    elif name == "fall silent":
        bench.clock.forward(seconds=6)
        model.zombies.append(lease)
        model.lease = None
    elif name.startswith("late") and model.zombies:
        zombie, late = model.zombies[-1], bench.counts(TOTAL)
        call = host.commit(zombie, late, position) if name == "late store" else host.finish(zombie, late)
        assert (await bench.refused(call)).reason == "FENCED"


async def live(bench, steps):
    """Play a history and finish it; gives the completed execution."""
    flow = await bench.flow(failure_policy=pb.FailurePolicy(max_attempts=100))
    execution_id = (await bench.start(flow)).execution_id
    model = Model()
    for name, amount in steps:
        if model.lease is None:
            await take_over(bench, model, execution_id)
        await step(bench, model, name, amount)
    if model.lease is None:
        await take_over(bench, model, execution_id)
    rest = TOTAL - model.began
    return await bench.host.finish(model.lease, bench.counts(rest), bench.position(str(TOTAL)))


async def test_whatever_happens_to_hosts_every_record_is_counted_once(benches):
    """
    However hosts read, store, stop, fail, fall silent and come back, positions never get lost or
    move backwards, zombies change nothing, and a completed execution counts every record once.
    """
    histories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 20)), max_size=12)
    played = []

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(histories)
    def collect(history):
        played.append(history)

    collect()
    bench = benches(f"tnt_{time.monotonic_ns()}")
    for history in played:
        ended = await live(bench, history)
        outcome = (ended.status, ended.counts.read, ended.counts.created)
        assert outcome == (Status.STATUS_COMPLETED, TOTAL, TOTAL), history
