"""`isthmus up`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.problem import Problem
from isthmus.local import floors
from isthmus.local.backends.nats_users import NatsUsers
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.bytecode import is_compiled
from isthmus.local.commands import up_choices as choices
from isthmus.local.commands.common import ask_status, console, is_running, launcher_pid, local_home, working
from isthmus.local.commands.secrets import explained
from isthmus.local.home import Home
from isthmus.local.names import AT_VAULT, WITHOUT_BUS
from isthmus.local.options import Options
from isthmus.local.private import read_json
from isthmus.local.safekeeping import secrets_ready

__all__ = ["register"]

_OTHER_START_SECONDS = 60.0
_TOLD_BY_PIPE = {"ISTHMUS_API_KEY", "ISTHMUS_POSTGRES_URL", "ISTHMUS_NATS_URL"}


def register(app: typer.Typer) -> None:
    """Add `up`."""
    app.command(epilog="Example: `isthmus --home ./mesh up --nats-url tls://user:word@nats.example:4222`")(up)


def up(
    ctx: typer.Context,
    postgres_url: choices.PostgresUrl = None,
    nats_url: choices.NatsUrl = None,
    nats_ca_file: choices.NatsCaFile = None,
    nats_users: choices.NatsUsers = None,
    vault_addr: choices.VaultAddr = None,
    vault_ca_file: choices.VaultCaFile = None,
    vault_roles: choices.VaultRoles = None,
    vault_token_file: choices.VaultTokenFile = None,
    secrets: choices.Secrets = None,
    secrets_key_file: choices.SecretsKeyFile = None,
    reflection: choices.Reflection = None,
    tls: choices.Tls = None,
    allow_plaintext: choices.AllowPlaintext = None,
    log_level: choices.LogLevel = None,
    otlp_endpoint: choices.OtlpEndpoint = None,
    foreground: choices.Foreground = False,
    output: Output = Format.TABLE,
) -> None:
    """Starts the whole mesh on this machine and returns when it is ready.

    PostgreSQL, NATS and OpenBao come along unless addresses are given, which later starts remember.
    Data, keys and logs lie in one folder. An interrupted start leaves nothing running.
    """
    home = local_home(ctx)
    if is_running(home):
        _await_other(home)
        _show({"home": str(home.root), "already_running": True}, output)
        return
    _prepare(home)
    options = Options.load(home).changed(
        postgres_url=postgres_url,
        nats_url=nats_url,
        nats_users="" if nats_url and nats_users is None else _absolute(nats_users),
        nats_ca_file="" if nats_url and nats_ca_file is None else _absolute(nats_ca_file),
        vault_addr=vault_addr,
        vault_ca_file="" if vault_addr and vault_ca_file is None else _absolute(vault_ca_file),
        vault_roles=_absolute(vault_roles),
        vault_token_file=_absolute(vault_token_file),
        secrets=secrets,
        secrets_key_file=_absolute(secrets_key_file),
        reflection=reflection,
        tls=tls,
        allow_plaintext=allow_plaintext,
        log_level=log_level,
        otlp_endpoint=otlp_endpoint,
    )
    with explained():
        options = secrets_ready(home, options)
    _check(options)
    launcher = _launch(home, options, foreground=foreground)
    _show(_await_ready(home, launcher), output)
    if foreground:
        raise typer.Exit(_stay(launcher))


def _await_other(home: Home) -> None:
    """Wait for a start that somebody else has begun."""
    deadline = time.monotonic() + _OTHER_START_SECONDS
    with working("somebody else is starting it …"):
        while ask_status(home) is None:
            if not is_running(home):
                message = f"The start under way has failed: look into {home.logs} and try again."
                raise Problem("START_FAILED", message)
            if time.monotonic() > deadline:
                message = f"The launcher {launcher_pid(home)} is stuck: run `isthmus down` and try again."
                raise Problem("LAUNCHER_SILENT", message)
            time.sleep(0.1)


def _prepare(home: Home) -> None:
    try:
        home.prepare()
    except OSError as error:
        message = f"{home.root} cannot be used ({error.strerror}): choose another folder with --home."
        raise Problem("HOME_UNUSABLE", message) from error


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _check(options: Options) -> None:
    _check_ways(options)
    for name, version in floors.too_old(options):
        least = floors.shown(floors.FLOORS[name])
        message = f"{name} {floors.shown(version)} has holes that are known: upgrade it to {least} or newer."
        raise Problem("SERVER_TOO_OLD", message)
    _check_bus(options)
    if options.secrets or not options.vault_addr:
        return
    if not options.vault_roles and not options.vault_token_file:
        message = "Give --vault-roles or --vault-token-file together with --vault-addr."
        raise Problem("VAULT_TOKEN_MISSING", message)
    for path in _vault_files(options):
        if not os.access(path, os.R_OK):
            message = f"{path} cannot be read: `isthmus vault script` says what has to be there."
            raise Problem("VAULT_TOKEN_MISSING", message)


def _check_ways(options: Options) -> None:
    """Refuse to reach servers elsewhere in plain text before anything is started."""
    from isthmus.kit import plaintext
    from isthmus.resilience.faults import Precondition

    allowed, bus = options.allow_plaintext, options.nats_url
    is_secure = bool(options.nats_ca_file) or bus.startswith("tls://")
    try:
        plaintext.secured_database(options.postgres_url, allow_plaintext=allowed)
        plaintext.check_bus(bus, is_secure=is_secure, allow_plaintext=allowed)
        plaintext.check_vault(options.vault_addr, allow_plaintext=allowed)
    except Precondition as refusal:
        raise Problem(refusal.reason, refusal.message) from None


def _check_bus(options: Options) -> None:
    if not options.nats_url or not options.nats_users:
        return
    users = NatsUsers(Path(options.nats_users))
    for path in (users.password_file(name) for name in sorted({*options.services} - WITHOUT_BUS)):
        if not os.access(path, os.R_OK):
            message = f"{path} cannot be read: `isthmus nats config {options.nats_users}` writes it."
            raise Problem("NATS_USERS_MISSING", message)


def _vault_files(options: Options) -> Iterator[Path]:
    if not options.vault_roles:
        yield Path(options.vault_token_file)
        return
    for service in (name for name in AT_VAULT if name in options.services):
        files = RoleFiles.within(Path(options.vault_roles), service)
        yield from (files.role_id, files.secret_id)


def _launch(home: Home, options: Options, *, foreground: bool) -> subprocess.Popen[str]:
    """Start the launcher; options travel through a pipe, since they may hold passwords."""
    command = [sys.executable, "-P", "-m", "isthmus.local.launcher", str(home.root)]
    with home.log("launcher").open("a") as log:
        launcher = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=not foreground,
            cwd="/",
            env=_environment(home),
        )
    assert launcher.stdin is not None
    with suppress(BrokenPipeError):
        launcher.stdin.write(json.dumps(asdict(options)) + "\n")
        launcher.stdin.close()
    return launcher


def _environment(home: Home) -> dict[str, str]:
    """Leave out secrets that the launcher is told otherwise, and say where compiled code is kept.

    That is the home where it may not be written beside the sources: compiling everything anew takes three
    times as long as the rest of the start, and memory as well.
    """
    known = {name: text for name, text in os.environ.items() if name not in _TOLD_BY_PIPE}
    if known.get("PYTHONDONTWRITEBYTECODE") and not is_compiled():
        del known["PYTHONDONTWRITEBYTECODE"]
        known.setdefault("PYTHONPYCACHEPREFIX", str(home.run / "bytecode"))
    return known


def _await_ready(home: Home, launcher: subprocess.Popen[str]) -> dict[str, Any]:
    assert launcher.stdout is not None
    where = console()
    try:
        with where.status("starting …") as status:
            for line in launcher.stdout:
                news = json.loads(line)
                if "step" in news:
                    status.update(f"{news['step']} …")
                elif "warning" in news:
                    where.print(f"[yellow]warning:[/yellow] {news['warning']}")
                elif "failed" in news:
                    launcher.wait()
                    raise Problem("START_FAILED", f"The mesh did not start: {news['failed']}")
                else:
                    return _result(home, news)
    except KeyboardInterrupt:
        launcher.send_signal(signal.SIGTERM)
        launcher.wait()
        raise
    launcher.wait()
    message = f"The mesh did not start: {_last_line(home.log('launcher'))} Look into {home.logs}."
    raise Problem("START_FAILED", message)


def _result(home: Home, news: dict[str, Any]) -> dict[str, Any]:
    found = {"home": str(home.root), "already_running": "already" in news}
    if "ready" in news:
        gateway = read_json(home.mesh_file).get("gateway_url", "")
        found |= {"seconds": news["ready"], "gateway_url": gateway, "logs": str(home.logs)}
        if news["api_key"]:
            found["api_key"] = news["api_key"]
    return found


def _show(found: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        emit(found, output)
        return
    where = console()
    if found["already_running"]:
        where.print(f"The mesh in {found['home']} is up already; `isthmus status` shows how it is doing.")
        return
    where.print(f"[green]The mesh is up[/green], ready in {found['seconds']:.1f} s.")
    where.print(f"  home     {found['home']}\n  gateway  {found['gateway_url']}\n  logs     {found['logs']}")
    if "api_key" in found:
        where.print(
            "\nThe administrator's API key of the first tenant is shown this once; cli.json keeps it for you."
        )
        sys.stdout.write(f"{found['api_key']}\n")
    where.print("\nNext: `isthmus status`, `isthmus connectors list`, and `isthmus down` to stop.")


def _stay(launcher: subprocess.Popen[str]) -> int:
    """Wait for the launcher's end, and hand on what asks us to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: launcher.send_signal(signal.SIGTERM))
    return launcher.wait()


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it left no message."
