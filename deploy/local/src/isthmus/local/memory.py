"""How much memory processes take, pages shared by several counted once."""

import psutil

__all__ = ["pss_of"]


def pss_of(pid: int, *, with_children: bool = True) -> int:
    """Return the proportional memory of a process in bytes, with that of its children unless told otherwise.

    Where the system does not tell the proportional share, the resident size is taken.
    """
    if not pid:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if with_children else [])]
    except psutil.Error:
        return 0
    return sum(_pss(member) for member in family)


def _pss(process: psutil.Process) -> int:
    try:
        facts = process.memory_full_info()
        return int(getattr(facts, "pss", 0) or facts.rss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
