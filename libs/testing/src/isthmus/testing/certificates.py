"""Certificates for tests that call a running mesh as one of its processes."""

import json
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.kit.authorities import trusting
from isthmus.kit.certificates import Certificates
from isthmus.local.backends.vault_pki import DOMAIN, role_requests
from isthmus.local.backends.vault_roles import Request, RoleFiles
from isthmus.local.issued import authority_file, certificate_file
from isthmus.local.issuing import VaultPlace, issue
from isthmus.local.names import LAUNCHER

__all__ = ["certificates"]


def certificates(home: Path, subject: str, seconds: int = 3600) -> Certificates:
    """Have the vault of a running mesh issue a certificate for a process that the test makes.

    Args:
        home: Of a mesh with a vault of its own.
        subject: What the process is called, `service:test` for example.
        seconds: How long the certificate is good for.
    """
    place = json.loads((home / "mesh.json").read_text())["openbao"]
    address, ca_file = place["address"], Path(place["ca_file"])
    root = json.loads((home / "openbao" / "root.json").read_text())["root_token"]
    _send(address, ca_file, root, role_requests([subject]))
    role = RoleFiles.within(home / "openbao" / "roles", LAUNCHER)
    issue(VaultPlace(address, role, ca_file), [subject], home / "tls", seconds)
    own = certificate_file(home / "tls", subject)
    return Certificates(own, own, authority_file(home / "tls"), domain=DOMAIN)


def _send(address: str, ca_file: Path, token: str, requests: Iterator[Request]) -> None:
    for request in requests:
        connection = HTTPSConnection(urlsplit(address).netloc, timeout=10, context=trusting(ca_file))
        body = json.dumps(request.body)
        connection.request("POST", f"/v1/{request.path}", body, {"X-Vault-Token": token})
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()
        connection.close()
