"""Runs the mapping service."""

from isthmus.kit import serve as run_service
from isthmus.services.mapping.settings import MappingSettings
from isthmus.services.mapping.wiring import wire


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(MappingSettings(), wire, name="mapping")


if __name__ == "__main__":
    serve()
