"""Where the certificates of a local mesh lie; importing this costs nothing."""

from pathlib import Path

__all__ = ["authority_file", "certificate_file"]


def certificate_file(folder: Path, subject: str) -> Path:
    """Return the file with certificate and key of a process; one file, so that both change at one stroke."""
    return folder / f"{subject.replace(':', '-')}.pem"


def authority_file(folder: Path) -> Path:
    """Return the file with the authority that vouches for all of them."""
    return folder / "authority.pem"
