"""Puts the service together out of the chassis' collaborators."""

from functools import partial

from isthmus.kit import Chassis, Wiring
from isthmus.registry.v1 import registry_pb2_grpc as pb_grpc
from isthmus.registry.v1 import sampling_pb2_grpc
from isthmus.services.registry.events import Announcer
from isthmus.services.registry.hosts import Hosts
from isthmus.services.registry.introduction import introduce_hub
from isthmus.services.registry.launcher import Launcher
from isthmus.services.registry.prober import Prober
from isthmus.services.registry.servicer import Desk, RegistryServicer, SamplingServicer
from isthmus.services.registry.store import Store


async def wire(chassis: Chassis) -> Wiring:
    """Wire store, hosts, prober and servicer."""
    settings = chassis.settings
    store = Store(chassis.db)
    hosts = Hosts(store, Launcher(settings.launcher_socket), chassis.clock, settings)
    desk = Desk(
        store=store,
        clock=chassis.clock,
        announcer=Announcer(chassis.outbox),
        hosts=hosts,
        prober=Prober(hosts, chassis.channel, settings.check_seconds, chassis.tickets),
        credentials=lambda: chassis.peer("credentials"),
    )
    return Wiring(
        servicers=[
            (pb_grpc.add_RegistryServiceServicer_to_server, RegistryServicer(desk)),
            (sampling_pb2_grpc.add_SamplingServiceServicer_to_server, SamplingServicer(desk)),
        ],
        tasks=[partial(introduce_hub, desk)] if settings.records_address else [],
    )


__all__ = ["wire"]
