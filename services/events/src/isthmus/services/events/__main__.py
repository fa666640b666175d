"""Starts the events service."""

from isthmus.kit import serve as run_service
from isthmus.services.events.settings import Settings
from isthmus.services.events.wiring import wire


def serve() -> None:
    """Serve until told to stop."""
    run_service(Settings(), wire, name="events")


if __name__ == "__main__":
    serve()
