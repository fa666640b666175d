"""All SQL of pairs."""

from isthmus.services.records.store.pairs.conflicts import ConflictStore
from isthmus.services.records.store.pairs.deciding import PairRounds
from isthmus.services.records.store.pairs.noting import PairWriter
from isthmus.services.records.store.pairs.reading import PairReader

__all__ = ["ConflictStore", "PairReader", "PairRounds", "PairWriter"]
