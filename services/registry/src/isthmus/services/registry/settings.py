"""What can be set about the registry."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class RegistrySettings(ServiceSettings):
    """The chassis' settings and how long hosts are trusted and waited for."""

    records_address: str = Field("", description="Where the records service, which is the hub, listens.")
    credentials_address: str = Field("", description="Where the credentials service listens.")
    host_lifetime: float = Field(15.0, gt=0, description="Seconds without a call after which a host is gone.")
    host_start_seconds: float = Field(
        10.0, gt=0, description="Longest wait for a host that is being started."
    )
    check_seconds: float = Field(
        25.0, gt=0, description="Longest check or discovery at an external system; a call has 30 in all."
    )
