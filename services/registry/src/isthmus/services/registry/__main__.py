"""Runs the registry."""

from isthmus.kit import serve as run_service
from isthmus.services.registry.settings import RegistrySettings
from isthmus.services.registry.wiring import wire


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(RegistrySettings(), wire, name="registry")


if __name__ == "__main__":
    serve()
