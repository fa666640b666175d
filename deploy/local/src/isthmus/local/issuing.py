"""Has the vault issue certificates; runs in a child that lives for a moment, because it opens connections."""

import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.kit.authorities import trusting
from isthmus.kit.certificates import dns_name, spiffe_id
from isthmus.local.backends.base import BackendFailed
from isthmus.local.backends.ports import HOST
from isthmus.local.backends.vault_pki import DOMAIN, PKI, is_server, role_of
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.issued import authority_file, certificate_file
from isthmus.local.private import write_private

__all__ = ["VaultPlace", "issue"]

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class VaultPlace:
    """How the launcher gets into a vault.

    Attributes:
        address: Where it listens.
        role: How to log in.
        ca_file: Authorities that vouch for it; None: those that the system trusts.
    """

    address: str
    role: RoleFiles
    ca_file: Path | None = None


def issue(place: VaultPlace, subjects: Iterable[str], folder: Path, seconds: int) -> int:
    """Write a new certificate for each process into a folder.

    Args:
        place: The vault.
        subjects: The processes, `service:registry` for example.
        folder: Where to.
        seconds: How long the certificates are good for.

    Returns:
        How many there are.

    Raises:
        BackendFailed: the vault refuses or does not answer.
    """
    vault: _Vault | None = None
    try:
        vault = _Vault(place)
        role = place.role
        login = {"role_id": role.role_id.read_text().strip(), "secret_id": role.secret_id.read_text().strip()}
        vault.token = vault.ask("auth/approle/login", login)["auth"]["client_token"]
        found = [
            (subject, vault.ask(f"{PKI}/issue/{role_of(subject)}", _wanted(subject, seconds))["data"])
            for subject in subjects
        ]
    except ssl.SSLCertVerificationError as error:
        message = (
            f"The vault at {place.address} is not believed: {error.verify_message}. "
            "Name the authorities that vouch for it with --vault-ca-file."
        )
        raise BackendFailed(message) from error
    except (OSError, HTTPException, ValueError, KeyError) as error:
        message = f"The vault at {place.address} issues no certificates: {type(error).__name__}: {error}."
        raise BackendFailed(message) from error
    finally:
        if vault is not None:
            vault.close()
    for subject, data in found:
        chain = [part for part in data.get("ca_chain") or [] if part != data["issuing_ca"]]
        parts = [data["private_key"], data["certificate"], *chain]
        write_private(certificate_file(folder, subject), "\n".join(parts) + "\n")
    for authority in {data["issuing_ca"] for _, data in found}:
        _trust(authority_file(folder), authority)
    return len(found)


def _wanted(subject: str, seconds: int) -> dict[str, Any]:
    here = {"alt_names": "localhost", "ip_sans": HOST} if is_server(subject) else {}
    return {
        "common_name": dns_name(subject, DOMAIN),
        "uri_sans": spiffe_id(subject, DOMAIN),
        "ttl": f"{seconds}s",
        **here,
    }


def _trust(path: Path, authority: str) -> None:
    """Replace the authority only when it is another one: everybody opens connections anew then."""
    text = authority + "\n"
    if not path.exists() or path.read_text() != text:
        write_private(path, text)


class _Vault:
    """The little of the vault's API that is needed here, over one connection."""

    def __init__(self, place: VaultPlace) -> None:
        parts = urlsplit(place.address)
        self._prefix = parts.path.rstrip("/")
        self.token = ""
        if parts.scheme == "https":
            context = trusting(place.ca_file)
            self._connection: HTTPConnection = HTTPSConnection(
                parts.netloc, timeout=_ANSWER_SECONDS, context=context
            )
        else:
            self._connection = HTTPConnection(parts.netloc, timeout=_ANSWER_SECONDS)

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Send one request.

        Raises:
            BackendFailed: it is refused.
        """
        headers = {"X-Vault-Token": self.token} if self.token else {}
        self._connection.request("POST", f"{self._prefix}/v1/{path}", json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read() or b"{}")
        if answer.status >= 400:
            why = "; ".join(str(line).strip() for line in content.get("errors", ()))
            message = f"The vault refuses {path} ({answer.status}: {why or 'no reason given'})."
            raise BackendFailed(f"{message} Prepare it anew with what `isthmus vault script` prints.")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
