"""Whether everything that documents name exists, found out before anything is applied."""

from collections.abc import Iterator

from isthmus.client.manifest.document import (
    Document,
    FlowDocument,
    InstanceDocument,
    Kind,
    MappingDocument,
    PlanDocument,
    SubscriptionDocument,
)
from isthmus.client.manifest.plans import plan_message
from isthmus.client.manifest.state import HUB, State
from isthmus.client.problem import ExitCode, Problem, Violation


def check_references(documents: list[Document], state: State) -> None:
    """Refuses documents that name what neither the mesh holds nor another document brings.

    Raises:
        Problem: `REFERENCE_UNKNOWN`, with each name in each document.
    """
    given = {(document.kind, document.name) for document in documents}
    unknown = [
        Violation(
            f"{document.kind} {document.name}",
            f"there is no {kind.lower()} {name}: add its document or correct the name",
        )
        for document in documents
        for kind, name in dict.fromkeys(_named(document))
        if name and (kind, name) not in given and state.find(kind, name) is None
    ]
    if unknown:
        raise Problem(
            "REFERENCE_UNKNOWN",
            "Nothing was applied, the documents name what does not exist:",
            violations=tuple(unknown),
            exit_code=ExitCode.USAGE,
        )


def _named(document: Document) -> Iterator[tuple[Kind, str]]:
    match document:
        case InstanceDocument(spec=spec):
            yield "Credential", spec.credential
        case MappingDocument(spec=spec):
            yield from _instances(spec.instance)
        case FlowDocument(spec=spec):
            yield from _instances(spec.source.instance, spec.destination.instance)
            yield "Mapping", spec.mapping
            yield "Mapping", spec.reverse_mapping
        case PlanDocument():
            yield from _named_by_steps(document)
        case SubscriptionDocument(spec=spec):
            yield "Flow", spec.start_flow
        case _:
            return


def _instances(*names: str) -> Iterator[tuple[Kind, str]]:
    return (("Instance", name) for name in names if name != HUB)


def _named_by_steps(document: PlanDocument) -> list[tuple[Kind, str]]:
    flows: list[str] = []
    instances: list[str] = []

    def flow(name: str) -> str:
        flows.append(name)
        return name

    def instance(name: str) -> str:
        instances.append(name)
        return name

    plan_message(document, flow, instance)
    return [*(("Flow", name) for name in flows), *_instances(*instances)]


__all__ = ["check_references"]
