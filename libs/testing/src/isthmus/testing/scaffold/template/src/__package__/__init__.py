"""__Title__ for Isthmus."""

from __package__.connector import __Class__
from __package__.sandbox import __Class__Sandbox

__all__ = ["__Class__", "__Class__Sandbox"]
