"""The ways in which external systems let a program replace a secret."""

from isthmus.services.credentials.ways.choosing import Ways
from isthmus.services.credentials.ways.entra import EntraWay
from isthmus.services.credentials.ways.hosts import HostWay, HostWays
from isthmus.services.credentials.ways.own_keys import OwnKeyWay
from isthmus.services.credentials.ways.port import Renewed, Values, Way

__all__ = ["EntraWay", "HostWay", "HostWays", "OwnKeyWay", "Renewed", "Values", "Way", "Ways"]
