"""Integrations as YAML: read, compare, apply, export."""

from isthmus.client.manifest.applying import Options, Outcome, apply
from isthmus.client.manifest.document import Document
from isthmus.client.manifest.exporting import export
from isthmus.client.manifest.planning import Change, Step, plan
from isthmus.client.manifest.reading import read_documents

__all__ = ["Change", "Document", "Options", "Outcome", "Step", "apply", "export", "plan", "read_documents"]
