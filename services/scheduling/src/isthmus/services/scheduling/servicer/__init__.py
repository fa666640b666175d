"""Speaks the contract; decides nothing."""

from isthmus.services.scheduling.servicer.actions import RemoteActions
from isthmus.services.scheduling.servicer.desk import Desk
from isthmus.services.scheduling.servicer.passes import Passes
from isthmus.services.scheduling.servicer.peers import RegistryPeer, RemoteMappings
from isthmus.services.scheduling.servicer.plans import PlansServicer
from isthmus.services.scheduling.servicer.servicer import SchedulingServicer

__all__ = [
    "Desk",
    "Passes",
    "PlansServicer",
    "RegistryPeer",
    "RemoteActions",
    "RemoteMappings",
    "SchedulingServicer",
]
