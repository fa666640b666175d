"""Where the certificates of a local mesh lie, and how long they last; importing this costs nothing."""

import os
from pathlib import Path

__all__ = ["authority_file", "certificate_file", "certificate_seconds", "vault_authority_file"]

_LIFETIME = 24 * 3600
_SHORTEST = 10


def certificate_seconds() -> int:
    """Return how long certificates are good for; they are replaced after half of that."""
    return max(_SHORTEST, int(os.environ.get("ISTHMUS_CERTIFICATE_SECONDS", _LIFETIME)))


def certificate_file(folder: Path, subject: str) -> Path:
    """Return the file with certificate and key of a process; one file, so that both change at one stroke."""
    return folder / f"{subject.replace(':', '-')}.pem"


def authority_file(folder: Path) -> Path:
    """Return the file with the authority that vouches for all of them."""
    return folder / "authority.pem"


def vault_authority_file(home: Path) -> Path:
    """Return the file with the authority that vouches for the embedded vault alone."""
    return home / "openbao" / "tls" / "authority.pem"
