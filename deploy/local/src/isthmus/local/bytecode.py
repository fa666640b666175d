"""Whether Python finds the code of the mesh compiled."""

from importlib.util import find_spec
from pathlib import Path

__all__ = ["is_compiled"]


def is_compiled() -> bool:
    """Tell whether the code to load has been compiled before; its largest package stands for all."""
    package = find_spec("sqlalchemy")
    return package is not None and package.cached is not None and Path(package.cached).exists()
