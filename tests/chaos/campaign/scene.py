"""Everything that takes part: systems outside, servers, ways between them, and the mesh."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from isthmus.testing.faults import freeze, kill9, thaw

from campaign import reading
from campaign.accounting import Account
from campaign.editing import Edits, Untouched
from campaign.flows import FLOWS, PLAN, STEPS, documents
from campaign.incidents import Incidents
from campaign.journal import Journal
from campaign.kinds import SYSTEMS, Kind
from campaign.mesh import ChaosMesh
from campaign.network import Network
from campaign.schedule import Strike
from campaign.servers import MESH_DATABASE, WAREHOUSE, Servers
from campaign.sides import Side, edit_both
from campaign.systems import System
from campaign.tickets import Tickets
from campaign.traffic import Work

__all__ = ["CHECKS", "REPAIR", "Scene", "open_scene"]

REPAIR = "repair to-archive"
"""A reconciliation of a step's flow, which writes what is missing or different."""
CHECKS = ("compare to-warehouse", "compare to-archive")
"""Reconciliations that only compare."""

_DELAY_SECONDS = 0.1
_PACE_SECONDS = 0.1


@dataclass
class Scene:
    """What the campaign acts on.

    Attributes:
        works: What can be started, by name: flows, the plan, and reconciliations.
        agreed: What the two sides should have held, over time.
        untouched: Keeps people from touching a record twice in a round.
    """

    incidents: Incidents
    tickets: Tickets
    left: Side
    right: Side
    servers: Servers
    network: Network
    mesh: ChaosMesh
    works: dict[str, Work] = field(default_factory=dict)
    agreed: Journal = field(default_factory=Journal)
    untouched: Untouched = field(default_factory=Untouched)
    _armed: dict[int, Callable[[], int]] = field(default_factory=dict)

    @property
    def systems(self) -> dict[str, System]:
        """Systems outside, by name."""
        return dict(zip(SYSTEMS, (self.incidents, self.tickets, self.left, self.right), strict=True))

    def edit(self, source: random.Random, edits: Edits) -> None:
        """Let people change records everywhere."""
        self.incidents.edit(source, self.untouched, edits)
        edit_both((self.left, self.right), self.agreed, source, self.untouched, edits.halved())

    def slow_down(self, *, begin: bool) -> None:
        """Let systems take their time while faults strike."""
        for system in self.systems.values():
            system.pace = _PACE_SECONDS if begin else 0.0

    def was_felt(self, strike: Strike) -> bool:
        """Tell whether a fault has met anybody; one that spoils answers waits for somebody who asks."""
        spoilt = self._armed.get(strike.number)
        return spoilt is None or spoilt() > 0

    def strike(self, strike: Strike) -> Callable[[], None] | None:
        """Let a fault begin; see `storm.World`."""
        kind, target = strike.kind, strike.target
        match kind:
            case Kind.CUT:
                self.network.cut(target)
            case Kind.SILENCE:
                self.network.silence(target)
            case Kind.DELAY:
                self.network.delay(target, _DELAY_SECONDS)
            case Kind.STORE_LOST:
                return self.servers.lose_store()
            case Kind.SLOW_DISK:
                return self.servers.slow_disk()
            case Kind.STALL:
                return self.servers.stall()
            case Kind.KILL | Kind.FREEZE:
                return self._strike_process(kind, target)
            case _:
                self._armed[strike.number] = self.systems[target].arm(kind, strike.times)
                return _nothing
        return lambda: self.network.heal(target)

    def account(self) -> list[Account]:
        """Compare everything with everything."""
        journal = self.incidents.journal
        return [
            *reading.account_for_mesh(self.servers.database(MESH_DATABASE), journal),
            *reading.account_for_warehouse(self.servers.database(WAREHOUSE), journal),
            *reading.account_for_tickets(self.tickets, journal),
            *reading.account_for_sides(self.left, self.right, self.agreed),
        ]

    def _strike_process(self, kind: Kind, name: str) -> Callable[[], None] | None:
        if self.servers.owns(name):
            return self.servers.kill(name) if kind is Kind.KILL else self.servers.freeze(name)
        pid = self.mesh.pid(name)
        if not pid:
            return None
        if kind is Kind.KILL:
            kill9(pid)
            return _nothing
        freeze(pid)
        return lambda: thaw(pid)


def _nothing() -> None:
    """Leave it: the launcher starts the process again, and answers are spoilt only so often."""


@contextmanager
def open_scene(folder: Path, *, page: int) -> Iterator[Scene]:
    """Start everything; stop it when the block ends, and leave the folder.

    Args:
        folder: For the mesh and its servers; PostgreSQL's user has to reach it.
        page: Records on a page of the systems that are read.
    """
    with ExitStack() as stack:
        systems = (Incidents(page), Tickets(), Side(page), Side(page))
        for system in systems:
            stack.callback(system.close)
        network = stack.enter_context(Network())
        servers = Servers(folder / "servers")
        stack.callback(servers.stop)
        servers.start()
        mesh = ChaosMesh(folder / "mesh")
        network.lead(
            {
                **{f"to {name}": system.port for name, system in zip(SYSTEMS, systems, strict=True)},
                **{f"to {name}": port for name, port in mesh.ports.items()},
                "to postgres": servers.postgres.ports["postgres"],
                "to warehouse": servers.postgres.ports["postgres"],
                "to nats": servers.nats.ports["nats"],
            }
        )
        stack.callback(mesh.stop)
        scene = Scene(*systems, servers, network, mesh)
        _furnish(scene)
        yield scene


def _furnish(scene: Scene) -> None:
    ways = scene.network.ports
    scene.mesh.start(
        postgres_url=scene.servers.database(MESH_DATABASE, ways["to postgres"]),
        nats_url=scene.servers.nats_url(ways["to nats"]),
        routes={name: ways[f"to {name}"] for name in scene.mesh.ports},
    )
    places = {link.removeprefix("to "): port for link, port in ways.items()}
    scene.mesh.apply(documents(places), {"CHAOS_LOADER": "loader"})
    mesh = scene.mesh
    flows = {name: mesh.flow_id(name) for name in (*FLOWS, *STEPS.values())}
    scene.works = {name: partial(mesh.run, flows[name]) for name in FLOWS}
    scene.works[PLAN] = partial(mesh.run_plan, mesh.plan_id(PLAN))
    scene.works[REPAIR] = partial(mesh.reconcile, flows[REPAIR.split()[1]], repair=True)
    for check in CHECKS:
        scene.works[check] = partial(mesh.reconcile, flows[check.split()[1]], repair=False)
