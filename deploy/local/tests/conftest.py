"""Lets the many processes that these tests start share compiled code, wherever writing it is switched off."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _shared_bytecode():
    with pytest.MonkeyPatch.context() as patch:
        if "PYTHONDONTWRITEBYTECODE" in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            folder = Path(tempfile.gettempdir()) / f"isthmus-bytecode-{os.getuid()}"
            patch.setenv("PYTHONPYCACHEPREFIX", str(folder))
        yield
