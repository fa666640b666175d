"""Proposes mappings from the names, types and values of two schemas; nobody is asked, nothing is learnt."""

from isthmus.mapper.suggestions.fields import Leaf, leaves_of
from isthmus.mapper.suggestions.matching import LEAST, Pair, Suggestions, suggest
from isthmus.mapper.suggestions.writing import Proposal, proposals

__all__ = ["LEAST", "Leaf", "Pair", "Proposal", "Suggestions", "leaves_of", "proposals", "suggest"]
