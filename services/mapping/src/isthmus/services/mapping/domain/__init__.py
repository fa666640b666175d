"""Rules about mappings, in plain Python."""

from isthmus.services.mapping.domain.difference import Difference, differences
from isthmus.services.mapping.domain.documents import Documents, compiled, read_documents, samples_of
from isthmus.services.mapping.domain.model import MappingVersion
from isthmus.services.mapping.domain.trial import Outcome, Trial, tried

__all__ = [
    "Difference",
    "Documents",
    "MappingVersion",
    "Outcome",
    "Trial",
    "compiled",
    "differences",
    "read_documents",
    "samples_of",
    "tried",
]
