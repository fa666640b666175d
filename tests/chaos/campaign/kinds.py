"""What goes wrong, and where."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LINKS", "LONG_PAUSE", "MEANING", "PROCESSES", "READING", "SYSTEMS", "TARGETS", "WRITING", "Kind"]


class Kind(StrEnum):
    """One way in which something goes wrong."""

    KILL = "kill -9"
    FREEZE = "freeze"
    CUT = "cut"
    SILENCE = "silence"
    DELAY = "delay"
    STORE_LOST = "store lost"
    SLOW_DISK = "slow disk"
    STALL = "stall"
    THROTTLED = "429"
    BUSY = "503"
    BROKEN = "500"
    GATEWAY = "502 after effect"
    TRUNCATED = "truncated"
    RESET = "reset"
    LOST_ANSWER = "reset after effect"
    SLOW = "slow"
    DUPLICATED = "duplicated page"
    REORDERED = "reordered"


MEANING = {
    Kind.KILL: "the process dies at once (SIGKILL)",
    Kind.FREEZE: "SIGSTOP for seconds, a part of them for longer than a lease, then SIGCONT",
    Kind.CUT: "a proxy resets all connections and takes no new ones for seconds",
    Kind.SILENCE: "a proxy keeps connections open and lets nothing through for seconds",
    Kind.DELAY: "a proxy holds every chunk of bytes up, in each direction",
    Kind.STORE_LOST: "NATS dies, and its whole JetStream store is deleted",
    Kind.SLOW_DISK: "every flush of PostgreSQL's log takes 0.1 s longer (`commit_delay`)",
    Kind.STALL: "all of PostgreSQL stands still and goes on, over and over (pulses of SIGSTOP)",
    Kind.THROTTLED: "a system refuses with 429 and `Retry-After`",
    Kind.BUSY: "a system refuses with 503",
    Kind.BROKEN: "a system answers 500 and does nothing",
    Kind.GATEWAY: "a request takes effect, and 502 is answered",
    Kind.TRUNCATED: "a request takes effect, and its answer breaks off in the middle",
    Kind.RESET: "a connection is cut before the request takes effect",
    Kind.LOST_ANSWER: "a request takes effect, and the connection is cut before the answer",
    Kind.SLOW: "an answer takes 3 s",
    Kind.DUPLICATED: "a page comes twice",
    Kind.REORDERED: "records of a page come in another order",
}

LONG_PAUSE = 18.0
"""Seconds of a freeze that no lease of 15 s survives."""

HOSTS = ("host-http-json", "host-postgres", "host-hub")
SERVICES = (
    "scheduling",
    "records",
    "registry",
    "credentials",
    "mapping",
    "identity",
    "events",
    "monitoring",
    "gateway",
)
PROCESSES = (*HOSTS, *SERVICES, "nats", "postgres", "openbao")
"""Whatever may die or freeze."""
LINKS = (
    "to incidents",
    "to tickets",
    "to left",
    "to right",
    "to warehouse",
    "to postgres",
    "to nats",
    "to records",
    "to scheduling",
    "to registry",
    "to credentials",
    "to mapping",
    "to identity",
    "to monitoring",
)
"""Whatever may be cut: everybody's way to one place."""
SYSTEMS = ("incidents", "tickets", "left", "right")
"""Systems outside that may answer badly."""
_ANSWERS = (Kind.THROTTLED, Kind.BUSY, Kind.BROKEN, Kind.TRUNCATED, Kind.RESET, Kind.SLOW)
READING = frozenset({*_ANSWERS, Kind.DUPLICATED, Kind.REORDERED})
"""What may befall a request that reads."""
WRITING = frozenset({*_ANSWERS, Kind.GATEWAY, Kind.LOST_ANSWER})
"""What may befall a request that changes something."""
_WRITTEN = ("tickets", "left", "right")
TARGETS: dict[Kind, tuple[str, ...]] = {
    Kind.KILL: PROCESSES,
    Kind.FREEZE: PROCESSES,
    Kind.CUT: LINKS,
    Kind.SILENCE: LINKS,
    Kind.DELAY: LINKS,
    Kind.STORE_LOST: ("nats",),
    Kind.SLOW_DISK: ("postgres",),
    Kind.STALL: ("postgres",),
    **dict.fromkeys(_ANSWERS, SYSTEMS),
    Kind.GATEWAY: _WRITTEN,
    Kind.LOST_ANSWER: _WRITTEN,
    Kind.DUPLICATED: ("incidents", "left", "right"),
    Kind.REORDERED: ("incidents", "left", "right"),
}
"""Where each may strike."""
