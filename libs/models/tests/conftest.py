"""One valid record for each model."""

from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="session")
def samples():
    files = sorted((Path(__file__).parent / "samples").glob("*.yaml"))
    return {name: one for file in files for name, one in yaml.safe_load(file.read_text()).items()}
