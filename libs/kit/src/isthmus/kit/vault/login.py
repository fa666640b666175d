"""How a service shows the vault who it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, repr=False)
class Grant:
    """A token of the vault.

    Attributes:
        token: The token itself.
        seconds: How long it holds unless it is renewed; 0 means that somebody else sees to that.
    """

    token: str
    seconds: float = 0.0


class Login(Protocol):
    """A way of getting a token."""

    tenants: bool
    """Whether a token can be had that reaches one tenant's secrets and nothing else."""

    def login(self, client: Any) -> Grant:
        """Get a token.

        Args:
            client: An `hvac.Client` that has none yet.

        Raises:
            OSError: A file with what has to be shown cannot be read.
            hvac.exceptions.VaultError: The vault refuses.
        """


class TokenFile:
    """A token that somebody else makes and renews, for example an agent of the vault beside the service.

    Args:
        path: Holds the token; read again when the vault refuses the one in use.
    """

    tenants = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def login(self, client: Any) -> Grant:  # noqa: ARG002 -- the vault need not be asked
        """Read the token."""
        return Grant(self._path.read_text().strip())


class AppRole:
    """A role of the vault that is the service's own.

    Both files are read at every login, so a new secret id is used without a restart. The token is renewed
    while it can be, and then the service logs in again. See
    https://openbao.org/docs/auth/approle/.

    Args:
        role_id_file: Holds the role's id.
        secret_id_file: Holds the secret id, which is what has to be kept from others.
    """

    tenants = True

    def __init__(self, role_id_file: Path, secret_id_file: Path) -> None:
        self._role_id_file = role_id_file
        self._secret_id_file = secret_id_file

    def login(self, client: Any) -> Grant:
        """Log in with the role's id and the secret id."""
        role_id = self._role_id_file.read_text().strip()
        secret_id = self._secret_id_file.read_text().strip()
        granted = client.auth.approle.login(role_id, secret_id)["auth"]
        return Grant(granted["client_token"], float(granted["lease_duration"]))


__all__ = ["AppRole", "Grant", "Login", "TokenFile"]
