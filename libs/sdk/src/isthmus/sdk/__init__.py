"""All that a connector author imports."""

from typing import TYPE_CHECKING, Any

from isthmus.sdk.classes import ClassRule, FieldClasses
from isthmus.sdk.classified import classified
from isthmus.sdk.connector import Connector, action, destination, source, webhook
from isthmus.sdk.failures import (
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    DeletionsSuspicious,
    Failure,
    Fatal,
    Fenced,
    NotFound,
    PermissionFailure,
    RateLimited,
    SignatureInvalid,
    TransientFailure,
    Violation,
)
from isthmus.sdk.generations import Finished, Foresight, Generation
from isthmus.sdk.guard import Guard, Verdict
from isthmus.sdk.lines import LineColumn, Lines, LineType
from isthmus.sdk.model import (
    AuthMethod,
    BatchId,
    Between,
    CheckStep,
    Credential,
    DataClass,
    Guarantee,
    OnDoubt,
    Operation,
    RateLimit,
    ReadMode,
    StepResult,
    Stream,
    WriteMode,
)
from isthmus.sdk.page import Batch, Event, Page, ReadReject
from isthmus.sdk.rotation import Rotated, Rotation
from isthmus.sdk.secret import Secret
from isthmus.sdk.tracking import Item

if TYPE_CHECKING:
    from isthmus.sdk.api import Api, Reply

__all__ = [
    "Api",
    "AuthMethod",
    "AuthenticationFailure",
    "Batch",
    "BatchId",
    "Between",
    "CheckStep",
    "ClassRule",
    "ConfigurationFailure",
    "Connector",
    "Credential",
    "DataClass",
    "DataFailure",
    "DeletionsSuspicious",
    "Event",
    "Failure",
    "Fatal",
    "Fenced",
    "FieldClasses",
    "Finished",
    "Foresight",
    "Generation",
    "Guarantee",
    "Guard",
    "Item",
    "LineColumn",
    "LineType",
    "Lines",
    "NotFound",
    "OnDoubt",
    "Operation",
    "Page",
    "PermissionFailure",
    "RateLimit",
    "RateLimited",
    "ReadMode",
    "ReadReject",
    "Reply",
    "Rotated",
    "Rotation",
    "Secret",
    "SignatureInvalid",
    "StepResult",
    "Stream",
    "TransientFailure",
    "Verdict",
    "Violation",
    "WriteMode",
    "action",
    "classified",
    "destination",
    "source",
    "webhook",
]


def __getattr__(name: str) -> Any:
    # The HTTP client costs 8 MB and a quarter of a second; connectors to files and databases do without it.
    if name in {"Api", "Reply"}:
        from isthmus.sdk import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
