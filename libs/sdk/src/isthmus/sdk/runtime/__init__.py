"""What a host needs to run a connector; authors have no use for it.

```python
async with Session(Acme, configuration, credential) as session:
    async with aclosing(await session.read("incidents", position=saved)) as reading:
        async for page in reading:
            ...  # deliver page.records, then commit page.position
        print(reading.stats.api_calls, reading.position.summary)
    result = await session.write("follow_ups", records, mode=WriteMode.UPSERT)
```
"""

from isthmus.sdk.context import Stats
from isthmus.sdk.declared import spec_of
from isthmus.sdk.documents import Documents
from isthmus.sdk.egress import AllowedHosts, Egress, OpenEgress
from isthmus.sdk.generations import Finished, Generation, generations_unsupported
from isthmus.sdk.guards import Guards
from isthmus.sdk.limits import BreakerLimits, Limits, RetryLimits
from isthmus.sdk.lines import LineColumn, Lines, LinesInvalid, LineType
from isthmus.sdk.model import (
    ActionSpec,
    AuthMethod,
    BatchId,
    Between,
    Capability,
    CheckStep,
    ConnectorSpec,
    Credential,
    Guarantee,
    OnDoubt,
    Operation,
    Position,
    RateLimit,
    ReadMode,
    StepResult,
    Stream,
    WebhookSpec,
    WriteMode,
)
from isthmus.sdk.page import Foreseen, ReadReject, Rejected
from isthmus.sdk.rotation import Rotated, Rotation
from isthmus.sdk.runtime.calling import Received
from isthmus.sdk.runtime.ledger import Announced, Claim, Known, Ledger, Settled, Standing, correlation_id
from isthmus.sdk.runtime.reading import PageRead, Reading
from isthmus.sdk.runtime.session import Session
from isthmus.sdk.runtime.writing import Prepared, WriteResult
from isthmus.sdk.shaped import Shape, ShapedRecords, Shaper
from isthmus.sdk.tracking import Outcome

__all__ = [
    "ActionSpec",
    "AllowedHosts",
    "Announced",
    "AuthMethod",
    "BatchId",
    "Between",
    "BreakerLimits",
    "Capability",
    "CheckStep",
    "Claim",
    "ConnectorSpec",
    "Credential",
    "Documents",
    "Egress",
    "Finished",
    "Foreseen",
    "Generation",
    "Guarantee",
    "Guards",
    "Known",
    "Ledger",
    "Limits",
    "LineColumn",
    "LineType",
    "Lines",
    "LinesInvalid",
    "OnDoubt",
    "OpenEgress",
    "Operation",
    "Outcome",
    "PageRead",
    "Position",
    "Prepared",
    "RateLimit",
    "ReadMode",
    "ReadReject",
    "Reading",
    "Received",
    "Rejected",
    "RetryLimits",
    "Rotated",
    "Rotation",
    "Session",
    "Settled",
    "Shape",
    "ShapedRecords",
    "Shaper",
    "Standing",
    "Stats",
    "StepResult",
    "Stream",
    "WebhookSpec",
    "WriteMode",
    "WriteResult",
    "correlation_id",
    "generations_unsupported",
    "spec_of",
]
