"""Refuses requests of the registry that cannot be meant."""

from isthmus.kit.validation import Check, validating
from isthmus.mapping.v1 import schema_registry_pb2 as pb
from isthmus.resilience.faults import Precondition
from isthmus.services.mapping.domain.registry.model import RESERVED
from isthmus.services.mapping.servicer_registry import messages

LONGEST_DEFINITION = 1 << 20
LONGEST_SUBJECT = 300
_MOST_NUMBER = 2**31 - 1


def check_schema(request: pb.RegisterSchemaVersionRequest | pb.CheckSchemaVersionRequest) -> None:
    """Refuse a request without a usable subject or schema."""
    with validating() as check:
        check_name(check, request.subject)
        check.text("definition", request.definition, longest=LONGEST_DEFINITION, lines=True)
        _check_format(check, request.format)
        if request.format != pb.SCHEMA_FORMAT_PROTOBUF and len(request.definition) <= LONGEST_DEFINITION:
            check.json("definition", request.definition)
        if isinstance(request, pb.CheckSchemaVersionRequest):
            check.within("version", request.version, least=0, most=_MOST_NUMBER)
            check_compatibility(check, request.level, request.policy, "")


def check_subject(subject: str, version: int = 0, *, least: int = 0) -> None:
    """Refuse what cannot name a version."""
    with validating() as check:
        check_name(check, subject)
        check.within("version", version, least=least, most=_MOST_NUMBER)


def check_format(form: int) -> None:
    """Refuse a notation that nobody knows."""
    with validating() as check:
        _check_format(check, form)


def _check_format(check: Check, form: int) -> None:
    if form not in messages.FORMATS:
        known = " or ".join(dict.fromkeys(one.value for one in messages.FORMATS.values()))
        check.add("format", "UNKNOWN_VALUE", f"Choose {known}.")


def check_own(subject: str) -> None:
    """Refuse to change what only Isthmus changes.

    Raises:
        Precondition: `SUBJECT_RESERVED`.
    """
    if subject.startswith(RESERVED):
        begins = " or ".join(RESERVED)
        message = f"{subject} is kept by Isthmus itself; choose a name that does not begin with {begins}."
        raise Precondition("SUBJECT_RESERVED", message, path="subject")


def check_name(check: Check, subject: str) -> None:
    """Note what is wrong with the name of a subject."""
    check.text("subject", subject, longest=LONGEST_SUBJECT)
    if subject != subject.strip() or subject.startswith("/") or subject.endswith("/"):
        check.add("subject", "SUBJECT_INVALID", "Begin and end `subject` with neither spaces nor slashes.")


def check_compatibility(check: Check, level: int, policy: int, prefix: str) -> None:
    """Note a level or policy that nobody knows."""
    if level and level not in messages.LEVELS:
        check.add(f"{prefix}level", "UNKNOWN_VALUE", "Choose one of the levels that the contract names.")
    if policy and policy not in messages.POLICIES:
        check.add(f"{prefix}policy", "UNKNOWN_VALUE", "Choose strict or lenient.")


__all__ = [
    "LONGEST_DEFINITION",
    "LONGEST_SUBJECT",
    "check_compatibility",
    "check_format",
    "check_name",
    "check_own",
    "check_schema",
    "check_subject",
]
