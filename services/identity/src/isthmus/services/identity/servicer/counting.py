"""What other processes count of quotas."""

import asyncio
from collections.abc import Callable, Mapping

import grpc
from isthmus.identity.v1 import quotas_pb2 as pb
from isthmus.kit import acting_for
from isthmus.kit.quotas import period_of
from isthmus.kit.validation import validating
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.resilience.faults import Fault
from isthmus.scheduling.v1 import scheduling_pb2, scheduling_pb2_grpc
from isthmus.services.identity.quotas import NAMES

Peer = Callable[[str], grpc.aio.Channel]
"""Gives the way to another service by its name."""
PERIODS = {name: period for name in NAMES if (period := period_of(name))}
_HELD = frozenset({"stored_records", "stored_bytes"})
_SECONDS = 3.0
_MOST = 1 << 53
_BY_SERVICE = "calls_per_minute"


def counted_of(
    request: pb.ReportUsageRequest, subject: str, limits: Mapping[str, int]
) -> list[tuple[str, float, float, float]]:
    """Read a report: quota, count, the rate at which it becomes free, and its period.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    with validating() as check:
        check.count("counts", request.counts, most=len(NAMES))
        for index, one in enumerate(request.counts):
            if one.quota not in PERIODS and one.quota not in _HELD:
                check.add(f"counts[{index}].quota", "UNKNOWN", "No quota of this name is reported.")
            check.within(f"counts[{index}].count", one.count, least=0, most=_MOST)
    found: dict[str, tuple[str, float, float, float]] = {}
    for one in request.counts:
        period = PERIODS.get(one.quota, 0.0)
        rate = max(limits[one.quota], 0.001) / period if period and one.quota in limits else 0.0
        place = f"{one.quota}:{subject}" if one.quota == _BY_SERVICE else one.quota
        found[place] = place, float(one.count), rate, period
    return list(found.values())


async def counted_elsewhere(tenant_id: str, peer: Peer) -> dict[str, int]:
    """What services count that keep it themselves; what is away tells nothing."""

    async def asked(name: str) -> Mapping[str, int]:
        try:
            with acting_for(tenant_id):
                if name == "registry":
                    stub = registry_pb2_grpc.RegistryServiceStub(peer(name))
                    return dict((await stub.GetUsage(registry_pb2.GetUsageRequest(), timeout=_SECONDS)).used)
                other = scheduling_pb2_grpc.SchedulingServiceStub(peer(name))
                return dict((await other.GetUsage(scheduling_pb2.GetUsageRequest(), timeout=_SECONDS)).used)
        except (grpc.RpcError, Fault):
            return {}

    found = await asyncio.gather(asked("registry"), asked("scheduling"))
    return {name: count for one in found for name, count in one.items() if name in NAMES}


__all__ = ["PERIODS", "Peer", "counted_elsewhere", "counted_of"]
