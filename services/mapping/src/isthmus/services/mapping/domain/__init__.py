"""Rules about mappings, in plain Python."""

from isthmus.services.mapping.domain.breaking import (
    Break,
    FlowUse,
    Schemas,
    breaks,
    may_break,
    refuse_breaking,
)
from isthmus.services.mapping.domain.difference import Difference, differences
from isthmus.services.mapping.domain.documents import (
    Documents,
    compiled,
    read_documents,
    samples_of,
    unreadable,
)
from isthmus.services.mapping.domain.effects import Effect, FieldEffect, effects
from isthmus.services.mapping.domain.golden import GoldenResult, held, read_samples, refuse_failed
from isthmus.services.mapping.domain.inverses import (
    base_of,
    derived,
    documents_of,
    inverse_id,
    inverted,
)
from isthmus.services.mapping.domain.model import NO_SAMPLES, MappingVersion, State, usable
from isthmus.services.mapping.domain.trial import Outcome, Trial, tried

__all__ = [
    "NO_SAMPLES",
    "Break",
    "Difference",
    "Documents",
    "Effect",
    "FieldEffect",
    "FlowUse",
    "GoldenResult",
    "MappingVersion",
    "Outcome",
    "Schemas",
    "State",
    "Trial",
    "base_of",
    "breaks",
    "compiled",
    "derived",
    "differences",
    "documents_of",
    "effects",
    "held",
    "inverse_id",
    "inverted",
    "may_break",
    "read_documents",
    "read_samples",
    "refuse_breaking",
    "refuse_failed",
    "samples_of",
    "tried",
    "unreadable",
    "usable",
]
