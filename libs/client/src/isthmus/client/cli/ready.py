"""`isthmus mappings ready | create`: mappings that come with connectors, to and from canonical models."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import yaml
from isthmus.client.cli.context import instance_id, mesh_of
from isthmus.client.cli.mappings import group
from isthmus.client.cli.output import Column, Format, Output, emit, show_one, show_table
from isthmus.client.manifest.document import API_VERSION, MappingSpec
from isthmus.client.manifest.mappings import mapping_fields
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.mapping.v1 import mapping_pb2
from isthmus.registry.v1 import registry_pb2
from pydantic import ValidationError

Name = Annotated[
    str, typer.Argument(help="Connector and mapping, for example cisa-kev/vulnerability-finding.")
]


@dataclass(frozen=True)
class _Ready:
    """A mapping that comes with a connector.

    Attributes:
        connector: Id of the connector.
        name: Unique inside the connector.
        document: What the connector says of it.
    """

    connector: str
    name: str
    document: dict[str, Any]

    @property
    def reference(self) -> str:
        return f"{self.connector}/{self.name}"

    @property
    def spec(self) -> dict[str, Any]:
        """The members of a mapping document's `spec`."""
        return {name: told for name, told in self.document.items() if name not in {"title", "stream"}}

    def said(self, name: str) -> str:
        """A member as text; a dash where it is no text."""
        told = self.document.get(name)
        return told if isinstance(told, str) else "-"


# Ten times as fast, where the C library came along.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COLUMNS = (
    Column("READY MAPPING", lambda item: item.reference),
    Column("STREAM", lambda item: item.said("stream")),
    Column("FROM", lambda item: item.said("source_schema")),
    Column("TO", lambda item: item.said("target_schema")),
    Column("MAKES", lambda item: item.said("title"), wide=True),
)


def register(app: typer.Typer) -> None:
    """Has the commands of this module beside the others of `isthmus mappings`."""


@group.command("ready")
def ready(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Show this one as a document, for example cisa-kev/vulnerability-finding.")
    ] = "",
    connector: Annotated[str, typer.Option("--connector", help="Only those of this connector.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Lists the mappings that come with connectors, or shows one as a document to keep and to change.

    Example: `isthmus mappings ready --connector cisa-kev`
    """
    mesh = mesh_of(ctx)
    if name:
        emit(_manifest(_named(mesh, name)), Format.YAML if output is Format.TABLE else output)
        return
    found = list(_all(mesh, connector))
    if output is Format.TABLE:
        rows = [[column.text(one) for column in _COLUMNS] for one in found]
        show_table([column.heading for column in _COLUMNS], rows, wide=True)
        return
    emit([{"name": one.reference, **one.document} for one in found], output)


@group.command("create")
def create(
    ctx: typer.Context,
    ready: Annotated[
        str,
        typer.Option("--ready", help="Connector and mapping, for example cisa-kev/vulnerability-finding."),
    ],
    name: Annotated[
        str, typer.Option("--name", help="What to call it; connector and mapping by default.")
    ] = "",
    instance: Annotated[str, typer.Option("--instance", help="The instance it is made for.")] = "",
    draft: Annotated[
        bool, typer.Option("--draft", help="Save it as a draft, which no flow uses yet.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Creates a mapping out of one that comes with a connector; its golden samples come along.

    Example: `isthmus mappings create --ready cisa-kev/task`
    """
    mesh = mesh_of(ctx)
    found = _named(mesh, ready)
    try:
        spec = MappingSpec.model_validate(found.spec)
    except ValidationError as error:
        message = (
            f"{ready} does not suit this command line ({error.error_count()} mistakes): update one of both."
        )
        raise Problem("READY_MAPPING_INVALID", message) from error
    fields = mapping_fields(
        name or found.reference.replace("/", "-"), spec, instance_id(mesh, instance) if instance else ""
    )
    request = mapping_pb2.CreateMappingRequest(request_id=uuid.uuid4().hex, is_draft=draft, **fields)
    show_one(mesh.mapping.CreateMapping(request).mapping, output)


def _manifest(found: _Ready) -> dict[str, Any]:
    """The mapping as a document for `isthmus apply`."""
    name = found.reference.replace("/", "-")
    return {"apiVersion": API_VERSION, "kind": "Mapping", "name": name, "spec": found.spec}


def _named(mesh: Mesh, reference: str) -> _Ready:
    connector, _, name = reference.partition("/")
    found = next((one for one in _all(mesh, connector) if one.name == name), None) if name else None
    if found is None:
        message = (
            f"No mapping {reference} comes with a connector: `isthmus mappings ready` lists those there are."
        )
        raise Problem("READY_MAPPING_UNKNOWN", message, exit_code=ExitCode.USAGE)
    return found


def _all(mesh: Mesh, connector: str) -> Iterator[_Ready]:
    listed = pages(mesh.registry.ListConnectors, registry_pb2.ListConnectorsRequest(), "connectors")
    for known in listed:
        name = known.spec.connector_id
        if connector not in {"", name}:
            continue
        # Lists are short; what comes with a connector stands only where it is asked for.
        whole = mesh.registry.GetConnector(registry_pb2.GetConnectorRequest(connector_id=name)).connector
        for one in whole.spec.ready_mappings:
            yield _Ready(name, one.name, _read(f"{name}/{one.name}", one.document))


def _read(reference: str, text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - it is the safe one
    except yaml.YAMLError as error:
        raise Problem(
            "READY_MAPPING_INVALID", f"{reference} is no YAML: tell who made the connector."
        ) from error
    if not isinstance(document, dict):
        raise Problem("READY_MAPPING_INVALID", f"{reference} is no mapping: tell who made the connector.")
    return document


__all__ = ["register"]
