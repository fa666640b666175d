"""Records that stay JSON documents until somebody looks."""

from isthmus.sdk import Batch
from isthmus.sdk.documents import Beside, Documents


def test_what_is_no_object_is_left_out_and_told_about():
    """
    The others keep the places at which they arrived.
    """
    documents = Documents([b'{"id":1}', b"[2]", b'{"id":', b'{"id":"\xff"}', b'{"id":5}'])

    assert list(documents) == [{"id": 1}, {"id": 5}]
    assert (list(documents.places), documents.unreadable) == ([0, 4], [1, 2, 3])
    assert list(Beside(documents, "abcde")) == ["a", "e"]


def test_nothing_is_decoded_before_it_is_looked_at():
    """
    What can use the documents themselves pays for no dictionaries.
    """
    batch = Batch(Documents([b"{}", b"no JSON"]))

    assert bool(batch.records)
    assert batch.encoded == (b"{}", b"no JSON")
    assert batch.records.expected == 2
    assert len(batch) == batch.records.expected == 1
