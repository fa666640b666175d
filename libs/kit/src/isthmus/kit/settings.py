"""What every service reads from its environment; services add their own fields."""

import json
import os
import sys
from pathlib import Path

from isthmus.resilience.egress import Policy
from isthmus.resilience.faults import Precondition
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings common to all services, read from variables that start with `ISTHMUS_`.

    Peers are found by `ISTHMUS_<PEER>_ADDRESS`, whether or not a subclass declares the field.
    """

    model_config = SettingsConfigDict(
        env_prefix="ISTHMUS_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    listen: str = Field("127.0.0.1:0", description="Address to serve on; port 0 takes a free one.")
    database_url: SecretStr = Field(SecretStr(""), description="PostgreSQL as the run-time role.")
    database_owner_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL as the schema's owner, for migrations; empty: do not migrate."
    )
    nats_url: str = Field("", description="NATS with JetStream, for example nats://127.0.0.1:4222.")
    nats_user: str = Field(
        "",
        description="Who this process is on the bus, `registry` or `host-files`; empty: as the address says.",
    )
    nats_password_file: Path | None = Field(None, description="File that holds that user's password.")
    nats_ca_file: Path | None = Field(
        None,
        description="Certificates that vouch for NATS, PEM; with it, as with tls://, only TLS is spoken.",
    )
    secrets: str = Field(
        "",
        description="Where secrets are: openbao (at vault_addr, by default), azure:https://NAME.vault.azure.net,"
        " environment, or file:/PATH.",
    )
    secrets_key: SecretStr = Field(SecretStr(""), description="Key of the sealed file, in base64.")
    secrets_key_file: Path | None = Field(None, description="File that holds the key of the sealed file.")
    vault_addr: str = Field("", description="OpenBao or Vault, for example http://127.0.0.1:8200.")
    vault_role_id_file: Path | None = Field(
        None, description="File that holds the id of the vault's AppRole."
    )
    vault_secret_id_file: Path | None = Field(None, description="File that holds the AppRole's secret id.")
    vault_token_file: Path | None = Field(
        None, description="File that holds a token of the vault, where there is no AppRole."
    )
    vault_ca_file: Path | None = Field(
        None, description="Certificates that vouch for the vault; by default those that the system trusts."
    )
    trust_file: Path | None = Field(None, description="JWKS of the mesh's public keys.")
    service_key_file: Path | None = Field(None, description="This process's own private JWK.")
    identity_address: str = Field("", description="Where the identity service listens.")
    tls_cert_file: Path | None = Field(
        None, description="This process's certificate, PEM; turns on mutual TLS."
    )
    tls_key_file: Path | None = Field(None, description="Its private key, PEM; may be the same file.")
    tls_ca_file: Path | None = Field(None, description="Authorities whose certificates are accepted, PEM.")
    tls_look_seconds: float = Field(10.0, gt=0, description="Pause between looks for renewed certificates.")
    trust_domain: str = Field("isthmus.local", description="Domain of the names in the mesh's certificates.")
    users_listen: str = Field(
        "", description="Address for people and programs that have a key and no certificate; empty: none."
    )
    reflection: bool = Field(False, description="Serve gRPC reflection; for development.")
    otlp_endpoint: str = Field("", description="OTLP collector for traces and metrics; empty: off.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    launcher_socket: Path | None = Field(None, description="Unix socket of the local launcher.")
    drain_seconds: float = Field(10.0, gt=0, description="How long calls in flight may finish after SIGTERM.")
    allow_plaintext: bool = Field(
        False,
        description="Listen and reach servers beyond this machine without TLS, in a protected network.",
    )
    database_pool: int = Field(10, ge=1, description="Most connections kept open to PostgreSQL.")
    database_pool_burst: int = Field(
        0, ge=0, description="Connections opened above the pool for one transaction."
    )
    statement_timeout: float = Field(30.0, gt=0, description="Longest single SQL statement, in seconds.")
    event_rest: float = Field(
        0.05, ge=0, description="How long events that follow one another closely gather, in seconds."
    )

    calls_at_once: int = Field(200, ge=1, description="Calls of users that are worked on at a time.")
    calls_of_tenant: int = Field(150, ge=1, description="Those of one tenant among them.")
    calls_waiting: int = Field(1000, ge=0, description="Calls of users that wait for their turn at most.")
    calls_waiting_of_tenant: int = Field(500, ge=0, description="Those of one tenant among them.")
    call_patience: float = Field(
        5.0, gt=0, description="How long a call waits for its turn at most, in seconds."
    )
    peer_seconds: float = Field(
        10.0, gt=0, description="How long another process may take to answer, unless the call says it."
    )
    peer_stream_seconds: float = Field(
        3600.0, gt=0, description="How long a stream with another process may last, unless the call says it."
    )
    streams_at_once: int = Field(500, ge=1, description="Streams that users hold open at a time.")
    streams_of_tenant: int = Field(200, ge=1, description="Those of one tenant among them.")
    stream_idle_seconds: float = Field(
        300.0, gt=0, description="How long a user's stream may stand still, in seconds."
    )

    egress_allow: str = Field(
        "",
        description="What may be called beyond the public network: networks, names, *.domain, with commas.",
    )
    egress_only: str = Field(
        "", description="Names and *.domain beside which nothing may be called; empty: no such bound."
    )
    egress_tenants: Path | None = Field(
        None, description="JSON file with an object of `allow` and `only`, both lists, for single tenants."
    )
    egress_proxies: bool = Field(
        False, description="Call systems through the proxies that the environment names."
    )

    def egress_policy(self) -> Policy:
        """Return what may be called on behalf of whom.

        Raises:
            Precondition: `SETTING_INVALID`, a rule is none; nothing is opened by a slip of the pen.
        """
        try:
            text = self.egress_tenants.read_text(encoding="utf-8") if self.egress_tenants else "{}"
            return Policy.of(
                self.egress_allow, self.egress_only, json.loads(text), uses_proxies=self.egress_proxies
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            message = f"Correct the settings ISTHMUS_EGRESS_…: {error}."
            raise Precondition("SETTING_INVALID", message) from error

    def peer_address(self, name: str) -> str:
        """Return where another service listens; empty when nobody said."""
        declared = getattr(self, f"{name}_address", "")
        return str(declared or os.environ.get(f"ISTHMUS_{name.upper()}_ADDRESS", ""))

    def migrations_folder(self) -> Path | None:
        """Return the folder `migrations` beside the module of this class, when there is one."""
        module = sys.modules.get(type(self).__module__)
        home = getattr(module, "__file__", None)
        folder = Path(home).parent / "migrations" if home else None
        return folder if folder and (folder / "versions").is_dir() else None


__all__ = ["ServiceSettings"]
