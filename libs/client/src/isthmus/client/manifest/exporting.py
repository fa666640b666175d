"""What the mesh holds, as documents that can be applied elsewhere."""

import re
from typing import Any

import yaml
from isthmus.client.manifest.document import API_VERSION, KINDS, Kind
from isthmus.client.manifest.state import Held, State


def export(state: State) -> str:
    """Gives everything as YAML documents; secrets appear as references to environment variables."""
    documents = [_document(kind, held) for kind in KINDS for held in state.all(kind).values()]
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, explicit_start=True)


def _document(kind: Kind, held: Held) -> dict[str, Any]:
    spec = held.spec.model_dump(mode="json", exclude_defaults=True)
    if kind == "Credential":
        variable = re.sub(r"[^A-Z0-9]+", "_", held.name.upper()).strip("_") + "_SECRET"
        if spec.get("oauth", {}).get("client_authentication") != "none":
            spec["secret"] = {"env": variable}
    return {"apiVersion": API_VERSION, "kind": kind, "name": held.name, "spec": spec}
