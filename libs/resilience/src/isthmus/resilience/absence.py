"""How much may be missing from a complete reading before that is more likely a mistake."""

USUAL_PERCENT = 25
FEW = 5


def too_many_absent(shown: int, absent: int, *, most_records: int = 0, most_percent: int = 0) -> str:
    """Say why so many records must not be deleted for being absent; empty where they may.

    Args:
        shown: Records that the reading has shown.
        absent: Records that it has not shown, of those that were written before.
        most_records: Most that may go; 0 means no limit.
        most_percent: Most of all of them that may go; 0 means the usual part, 100 means no limit.
    """
    percent = most_percent or USUAL_PERCENT
    total = shown + absent
    told = f"The reading shows {shown} records, so {absent} of {total} would be deleted"
    remedy = "Nothing was deleted: look at the source. If it is right, raise `deletes.{}` for the next run."
    if most_records and absent > most_records:
        return f"{told}, more than the {most_records} that may. {remedy.format('most')}"
    few = bool(shown) and absent <= FEW
    if absent and not few and percent < 100 and absent * 100 > percent * total:
        return f"{told}, more than {percent} %. {remedy.format('most_percent')}"
    return ""


__all__ = ["FEW", "USUAL_PERCENT", "too_many_absent"]
