"""Two-way flows: what both sides hold, what they are to hold, and who decides when they disagree."""

from isthmus.services.records.domain.pairs.deciding import decide
from isthmus.services.records.domain.pairs.forms import Form, dump, load, same, tidy
from isthmus.services.records.domain.pairs.model import (
    Choice,
    Decision,
    DeleteKind,
    Deletes,
    Held,
    Outcome,
    Pair,
    Policy,
    Rules,
    Ruling,
    Side,
    Status,
)
from isthmus.services.records.domain.pairs.noting import Note, Noted, note
from isthmus.services.records.domain.pairs.streams import PairStream, is_pair_stream, parse_stream

__all__ = [
    "Choice",
    "Decision",
    "DeleteKind",
    "Deletes",
    "Form",
    "Held",
    "Note",
    "Noted",
    "Outcome",
    "Pair",
    "PairStream",
    "Policy",
    "Rules",
    "Ruling",
    "Side",
    "Status",
    "decide",
    "dump",
    "is_pair_stream",
    "load",
    "note",
    "parse_stream",
    "same",
    "tidy",
]
