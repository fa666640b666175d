"""All SQL of the hub."""

from isthmus.services.records.store.classes import ClassStore
from isthmus.services.records.store.links import LinkStore
from isthmus.services.records.store.orphans import OrphanStore
from isthmus.services.records.store.previews import RecordPreviewer
from isthmus.services.records.store.quarantine import QuarantineStore
from isthmus.services.records.store.queries import RecordQueries
from isthmus.services.records.store.reads import ChangeReader
from isthmus.services.records.store.writes import RecordWriter

__all__ = [
    "ChangeReader",
    "ClassStore",
    "LinkStore",
    "OrphanStore",
    "QuarantineStore",
    "RecordPreviewer",
    "RecordQueries",
    "RecordWriter",
]
