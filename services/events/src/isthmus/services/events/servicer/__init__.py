"""Speaks the contract; decides nothing."""

from isthmus.services.events.servicer.desk import Desk, OwnEvents
from isthmus.services.events.servicer.peers import RemoteFlows, RemoteLog
from isthmus.services.events.servicer.servicer import EventsServicer

__all__ = ["Desk", "EventsServicer", "OwnEvents", "RemoteFlows", "RemoteLog"]
