"""Runs the identity service."""

from isthmus.kit import serve as run_service
from isthmus.services.identity.settings import IdentitySettings
from isthmus.services.identity.wiring import wire


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(IdentitySettings(), wire, name="identity")


if __name__ == "__main__":
    serve()
