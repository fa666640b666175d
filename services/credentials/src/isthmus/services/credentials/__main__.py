"""Runs the credentials service."""

from isthmus.kit import serve as run_service
from isthmus.services.credentials.settings import CredentialsSettings
from isthmus.services.credentials.wiring import wire


def serve() -> None:
    """Serve until the process is told to stop; everything is set by the environment."""
    run_service(CredentialsSettings(), wire, name="credentials")


__all__ = ["serve", "wire"]

if __name__ == "__main__":
    serve()
