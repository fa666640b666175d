import mmap
import sys
from pathlib import Path

import pytest
from isthmus.local.idle_code import give_back_idle_code

_SIZE = 4 * 1024 * 1024


def _resident(path: Path) -> int:
    """Return how many kilobytes of a file this process holds in memory."""
    areas = Path("/proc/self/smaps").read_text().split("VmFlags")
    area = next(area for area in areas if str(path) in area)
    return int(area.split("Rss:")[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes pages back on request")
def test_pages_of_a_file_are_given_back_and_read_again_when_used(tmp_path):
    """
    What was read once leaves the memory, and is there again for whoever reads it.
    """
    content = bytes(range(256)) * (_SIZE // 256)
    file = tmp_path / "library"
    file.write_bytes(content)
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
        assert mapped[:] == content
        before = _resident(file)

        give_back_idle_code()

        assert _resident(file) < before / 2
        assert mapped[:] == content
