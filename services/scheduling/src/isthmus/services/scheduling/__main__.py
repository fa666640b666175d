"""Starts the scheduling service."""

from isthmus.kit import serve as run_service
from isthmus.services.scheduling.settings import Settings
from isthmus.services.scheduling.wiring import wire


def serve() -> None:
    """Serve until told to stop."""
    run_service(Settings(), wire, name="scheduling")


if __name__ == "__main__":
    serve()
