"""What can be set about the mapping service."""

from isthmus.kit import ServiceSettings


class MappingSettings(ServiceSettings):
    """The chassis' settings; the service has none of its own."""
