"""What was found wrong with records, as it is kept and as it is told."""

from collections.abc import Iterable

from isthmus.scheduling.v1 import scheduling_pb2 as pb

_MOST = 100
_MOST_KEYS = 3


def pack_findings(findings: Iterable[pb.Finding]) -> bytes:
    """Write findings so that those of several attempts are kept by putting them one behind another."""
    return pb.Preview(findings=findings).SerializeToString()


def tell_kept(shown: pb.Execution, kept: bytes, *, is_dry_run: bool) -> None:
    """Tell of an execution what is kept of its findings and, of a dry run, what it would do.

    Args:
        shown: The execution; grows.
        kept: As stored.
        is_dry_run: Whether there is more to tell than findings.
    """
    if not kept:
        return
    preview = pb.Preview.FromString(kept)
    shown.findings.extend(folded(preview.findings))
    if is_dry_run:
        preview.ClearField("findings")
        shown.preview.CopyFrom(preview)


def folded(findings: Iterable[pb.Finding]) -> list[pb.Finding]:
    """Put together what several attempts found alike; the most frequent come first."""
    found: dict[tuple[object, ...], pb.Finding] = {}
    for one in findings:
        same = (
            one.consequence,
            one.reason,
            one.target_path,
            one.source_path,
            one.rule,
            one.mapping_version,
        )
        known = found.setdefault(same, one)
        if known is not one:
            known.records += one.records
            room = _MOST_KEYS - len(known.keys)
            known.keys.extend(list(one.keys)[: max(room, 0)])
    return sorted(found.values(), key=lambda one: -one.records)[:_MOST]


__all__ = ["folded", "pack_findings", "tell_kept"]
