"""A client for JSON over HTTP, with paging, pacing, repeating and bounds."""

from isthmus.sdk.api.auth import Auth
from isthmus.sdk.api.client import Api
from isthmus.sdk.api.paging import (
    Ask,
    CursorToken,
    DeltaLink,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paging,
    RangeHeader,
    SinglePage,
    records_of,
)
from isthmus.sdk.api.reply import Reply

__all__ = [
    "Api",
    "Ask",
    "Auth",
    "CursorToken",
    "DeltaLink",
    "LinkHeader",
    "NextLink",
    "Offset",
    "PageNumber",
    "Paging",
    "RangeHeader",
    "Reply",
    "SinglePage",
    "records_of",
]
