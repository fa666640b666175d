"""Which versions of their mappings executions use."""

import asyncio
from collections.abc import Iterable

from isthmus.resilience.faults import Missing
from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine.ports import Mappings


async def versions_of(mappings: Mappings, executions: Iterable[Execution]) -> dict[str, int]:
    """Find out the versions of mappings, each once.

    Args:
        mappings: Knows them.
        executions: Of which executions.

    Returns:
        By the execution's id; 0 where it uses none. One whose mapping is gone is not there.
    """
    wanted = {
        one.execution_id: (one.moving.mapping_id, one.moving.mapping_version)
        if one.moving.mapping_id
        else None
        for one in executions
    }
    found: dict[tuple[str, int] | None, int] = {None: 0}

    async def ask(which: tuple[str, int]) -> None:
        try:
            found[which] = await mappings.version(*which)
        except Missing:
            return

    await asyncio.gather(*(ask(which) for which in set(wanted.values()) if which is not None))
    return {name: found[which] for name, which in wanted.items() if which in found}


__all__ = ["versions_of"]
