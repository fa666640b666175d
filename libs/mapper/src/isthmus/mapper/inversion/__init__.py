"""The way back: what a mapping can undo of itself, field by field, and what it cannot."""

from isthmus.mapper.inversion.deriving import Inverse, Loss, invert_mapping
from isthmus.mapper.inversion.proving import RoundTrip, Verdict, round_trips

__all__ = ["Inverse", "Loss", "RoundTrip", "Verdict", "invert_mapping", "round_trips"]
