"""What a flow needs whose mapping makes several records of one."""

from isthmus.resilience import Precondition


def refusal_of_split(
    *, has_key: bool, is_one_way: bool, ignores_deletions: bool, shows_all: bool
) -> Precondition | None:
    """Say why a flow may not have such a mapping; None where it may.

    Args:
        has_key: The flow has a key of its own, which tells parts apart.
        is_one_way: Records only go from source to destination, and are not compared either.
        ignores_deletions: What is gone stays at the destination.
        shows_all: Every sync reads everything, and what it does not show is gone.
    """
    if not is_one_way:
        why = "which can be neither compared nor moved both ways; map them one to one"
    elif not has_key:
        why = "whose parts need keys of their own; give the flow a `key`"
    elif not (ignores_deletions or shows_all):
        why = (
            "and sources do not tell which parts are gone; read everything each time (`read_mode: full`) "
            "with `deletes: {absent: true}`, or leave deletions out with `deletes: {kind: ignore}`"
        )
    else:
        return None
    return Precondition("SPLIT_UNSOUND", f"The mapping splits records, {why}.")


__all__ = ["refusal_of_split"]
