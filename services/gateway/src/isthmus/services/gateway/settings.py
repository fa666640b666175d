"""What the gateway reads from its environment."""

from typing import Literal

from isthmus.kit import ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings):
    """Where the gateway listens for HTTP, and how long it waits for a service."""

    http_listen: str = Field("127.0.0.1:8080", description="host:port for HTTP; port 0 takes a free one.")
    public_url: str = Field(
        "", description="How others reach the gateway; http:// and where it listens when empty."
    )
    trusted_proxies: str = Field(
        "", description="Networks of proxies before the gateway whose word about clients counts, with commas."
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for", description="The header in which they tell it."
    )
    health_timeout: float = Field(2.0, gt=0, description="How long a service may take to answer, in seconds.")


__all__ = ["GatewaySettings"]
