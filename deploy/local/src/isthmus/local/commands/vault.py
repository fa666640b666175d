"""`isthmus vault`: prepares a vault outside for the mesh."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer
from isthmus.local.backends.vault_roles import ENGINES, RoleFiles, requests
from isthmus.local.names import AT_VAULT, LAUNCHER

__all__ = ["register"]

_ACCESSOR = '"$accessor"'
_MARK = "ISTHMUS-TOKEN-ACCESSOR"
_HEAD = """\
#!/bin/sh
# Prepares OpenBao or Vault for Isthmus. Run it where `bao` finds the vault and a token that may write
# policies; with Vault set BAO=vault. It may be run again: what is there stays, secret ids are made anew.
#   sh prepare.sh FOLDER     writes what each service logs in with into FOLDER
set -eu
umask 077
bao="${BAO:-bao}"
folder="${1:?name a folder for role ids and secret ids}"
mkdir -p "$folder"
"""
_FIND = """\
accessor=$("$bao" read -field=token/ -format=json sys/auth | sed -n 's/.*"accessor": *"\\([^"]*\\)".*/\\1/p')
test -n "$accessor"
"""


def register(app: typer.Typer) -> None:
    """Add `vault`."""
    group = typer.Typer(help="A vault of your own.", no_args_is_help=True)
    group.command(epilog="Example: `isthmus vault script > prepare.sh`")(script)
    app.add_typer(group, name="vault")


def script() -> None:
    """Prints a shell script that prepares an OpenBao or Vault of your own.

    It mounts the engines and writes a policy and a role for each service that keeps secrets, one for the
    tokens that reach one tenant's secrets, the key that signs audit trails, and a role for the certificates
    of each process.
    Then `isthmus up --vault-addr … --vault-roles FOLDER`.
    """
    typer.echo("".join(_lines()), nl=False)


def _lines() -> Iterator[str]:
    from isthmus.local.backends import vault_pki
    from isthmus.local.preload import connector_names

    yield _HEAD
    for path, engine in ENGINES.items():
        yield f"{_write(path, engine)} 2>/dev/null || true\n"
    yield _FIND
    for request in requests(_MARK):
        yield f"{_write(request.path, request.body)} >/dev/null\n"
    authority = vault_pki.AUTHORITY
    yield f'"$bao" list {vault_pki.PKI}/issuers >/dev/null 2>&1 || '
    yield f"{_write(authority.path, authority.body)} >/dev/null\n"
    names = vault_pki.subjects(connector_names())
    for request in (*vault_pki.issuer(), *vault_pki.role_requests(names)):
        yield f"{_write(request.path, request.body)} >/dev/null\n"
    for service in (*AT_VAULT, LAUNCHER):
        files = RoleFiles.within(Path("$folder"), service)
        role = f"auth/approle/role/isthmus-{service}"
        yield f'"$bao" read -field=role_id {role}/role-id > "{files.role_id}"\n'
        yield f'"$bao" write -force -field=secret_id {role}/secret-id > "{files.secret_id}"\n'


def _write(path: str, body: object) -> str:
    """Write one request; what stands for the accessor is filled in by the shell."""
    text = shlex.quote(json.dumps(body)).replace(_MARK, f"'{_ACCESSOR}'")
    return f'printf %s {text} | "$bao" write {path} -'
