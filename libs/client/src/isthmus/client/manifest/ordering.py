"""Whether the steps of a plan have an order, found out before anything is applied."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter


def check_order(steps: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuses steps that are named twice, that wait for no step, or for one another.

    Args:
        steps: name of each step, and the names it comes after.

    Raises:
        ValueError: says which field, and what to do.
    """
    names = [name for name, _ in steps]
    for index, (name, after) in enumerate(steps):
        if name in names[:index]:
            raise ValueError(f"steps[{index}].name: there is a step {name} already; choose another name")
        for place, wanted in enumerate(after):
            path = f"steps[{index}].after[{place}]"
            if wanted not in names:
                raise ValueError(f"{path}: there is no step {wanted}; name one of this plan")
    try:
        TopologicalSorter(dict(steps)).prepare()
    except CycleError as error:
        *before, last = error.args[1]
        place = dict(steps)[last].index(before[-1])
        path = f"steps[{names.index(last)}].after[{place}]"
        circle = " → ".join(reversed([*before, last]))
        raise ValueError(f"{path}: these steps wait for one another: {circle}; take one out") from error


__all__ = ["check_order"]
