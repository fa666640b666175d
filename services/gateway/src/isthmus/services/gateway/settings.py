"""What the gateway reads from its environment."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings):
    """Where the gateway listens for HTTP, and how long it waits for a service."""

    http_listen: str = Field("127.0.0.1:8080", description="host:port for HTTP; port 0 takes a free one.")
    health_timeout: float = Field(2.0, gt=0, description="How long a service may take to answer, in seconds.")


__all__ = ["GatewaySettings"]
