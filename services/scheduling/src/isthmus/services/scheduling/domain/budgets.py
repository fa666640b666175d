"""How hosts that call one instance at the same time share its limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of an instance: by the other hosts together, and by the host that asks.

    Attributes:
        hosts: How many others there are.
        rate_share: Their part of the rate.
        places: Their places, those included in which calls are still under way.
        own: The places of the host that asks, in the same way.
        told: The places that it was told of the last time.
    """

    hosts: int = 0
    rate_share: float = 0.0
    places: int = 0
    own: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What one host may do; nothing at all where `rate_share` is 0."""

    rate_share: float
    places: int
    hosts: int


def share(most: int, others: Held) -> Share:
    """Give a host its part, and never more than the others have left.

    A host that comes gets nothing until the others, who have the whole, have learnt of it and taken
    less. Of hosts that are more than the places some have to wait until others need theirs no more.

    Args:
        most: Most calls at a time over all hosts; 0 means no limit.
        others: What they hold now.
    """
    hosts = others.hosts + 1
    calling = min(hosts, most) if most else hosts
    rate = min(1 / calling, 1 - others.rate_share)
    if not most:
        return Share(rate if rate > _LEAST else 0.0, 0, hosts)
    places = min(max(1, most // hosts), most - others.places)
    if places <= 0 or rate <= _LEAST:
        return Share(0.0, 0, hosts)
    return Share(rate, places, hosts)


def held_places(given: Share, before: Held, busy: int) -> int:
    """Tell how many places a host has to be reckoned with.

    A host that has just been told to have fewer may use all that it had; once it knows, those in which
    calls are under way.
    """
    return max(given.places, busy) if before.told <= given.places else max(before.own, given.places)


# Less is what remains of adding up, and no share.
_LEAST = 1e-6

__all__ = ["Held", "Share", "held_places", "share"]
