"""What `isthmus up` can be told on its command line; it stands for the options of a home."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllowPlaintext",
    "Foreground",
    "LogLevel",
    "NatsCaFile",
    "NatsUrl",
    "NatsUsers",
    "OtlpEndpoint",
    "PostgresUrl",
    "Reflection",
    "Secrets",
    "SecretsKeyFile",
    "Tls",
    "VaultAddr",
    "VaultCaFile",
    "VaultRoles",
    "VaultTokenFile",
]

_EMBEDDED = "`embedded` takes an address back."

PostgresUrl = Annotated[
    str | None,
    typer.Option(
        envvar="ISTHMUS_POSTGRES_URL", help=f"A superuser's URL of a PostgreSQL 16 or newer. {_EMBEDDED}"
    ),
]
NatsUrl = Annotated[
    str | None, typer.Option(envvar="ISTHMUS_NATS_URL", help=f"A NATS with JetStream. {_EMBEDDED}")
]
NatsCaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_NATS_CA_FILE",
        help="Certificates that vouch for that NATS; without them those that the system trusts.",
    ),
]
NatsUsers = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_NATS_USERS", help="Folder that `isthmus nats config` has written for that NATS."
    ),
]
VaultAddr = Annotated[
    str | None,
    typer.Option(
        envvar="ISTHMUS_VAULT_ADDR", help=f"An OpenBao or Vault; see `isthmus vault script`. {_EMBEDDED}"
    ),
]
VaultCaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_VAULT_CA_FILE",
        help="Certificates that vouch for that vault; without them those that the system trusts.",
    ),
]
VaultRoles = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_VAULT_ROLES",
        help="Folder with <service>.role-id and <service>.secret-id for that vault.",
    ),
]
VaultTokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_VAULT_TOKEN_FILE", help="File with a token for that vault, in place of roles."
    ),
]
Secrets = Annotated[
    str | None,
    typer.Option(
        envvar="ISTHMUS_SECRETS",
        help=f"Where secrets are, if not in OpenBao: file:PATH, azure:URL or environment. {_EMBEDDED}",
    ),
]
SecretsKeyFile = Annotated[
    Path | None,
    typer.Option(
        envvar="ISTHMUS_SECRETS_KEY_FILE", help="Key of that file; made in the home when none is named."
    ),
]
Reflection = Annotated[
    bool | None,
    typer.Option("--reflection/--no-reflection", help="Let tools such as grpcurl list the RPCs."),
]
Tls = Annotated[
    bool | None, typer.Option("--tls/--no-tls", help="Let processes speak TLS with one another; they do.")
]
AllowPlaintext = Annotated[
    bool | None,
    typer.Option(
        "--allow-plaintext/--no-allow-plaintext",
        envvar="ISTHMUS_ALLOW_PLAINTEXT",
        help="Reach servers elsewhere without TLS, in a network that is protected itself.",
    ),
]
LogLevel = Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")]
OtlpEndpoint = Annotated[
    str | None,
    typer.Option(help="OTLP collector for traces and metrics; an empty text switches them off."),
]
Foreground = Annotated[bool, typer.Option("--foreground", help="Stay until stopped by Ctrl-C or SIGTERM.")]
