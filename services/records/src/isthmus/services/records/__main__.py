"""Runs the hub."""

from isthmus.kit import serve as run_service
from isthmus.services.records.settings import RecordsSettings
from isthmus.services.records.wiring import wire


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(RecordsSettings(), wire, name="records")


if __name__ == "__main__":
    serve()
