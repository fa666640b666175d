"""What several attempts found wrong with records is told as one."""

from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.translate.findings import pack_findings, tell_kept


def finding(reason: str, records: int, *keys: str) -> pb.Finding:
    """Something that was found."""
    return pb.Finding(reason=reason, records=records, keys=keys)


def test_findings_of_attempts_are_put_together():
    """
    Equal ones are counted together, whatever attempt they come from; the most frequent come first.
    """
    kept = pack_findings([finding("A", 1, "a")]) + pack_findings(
        [finding("B", 5), finding("A", 7, "b", "c", "d")]
    )
    shown = pb.Execution()
    tell_kept(shown, kept, is_dry_run=False)

    assert list(shown.findings) == [finding("A", 8, "a", "b", "c"), finding("B", 5)]
    assert not shown.HasField("preview")


def test_a_dry_run_tells_its_preview_as_well():
    """
    Both are kept in one place, and told in two.
    """
    kept = pb.Preview(note="one").SerializeToString() + pack_findings([finding("A", 1)])
    shown = pb.Execution()
    tell_kept(shown, kept, is_dry_run=True)

    assert (shown.preview, list(shown.findings)) == (pb.Preview(note="one"), [finding("A", 1)])
