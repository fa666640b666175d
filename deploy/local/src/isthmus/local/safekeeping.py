"""Where the mesh of a home keeps its secrets."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.local.backends.ports import HOST
from isthmus.local.home import Home
from isthmus.local.issued import vault_authority_file
from isthmus.local.options import Options
from isthmus.local.private import read_json, write_private
from isthmus.resilience.faults import Fault, Precondition

if TYPE_CHECKING:
    from isthmus.kit.vault import Archive

__all__ = ["archive_of", "home_key", "secrets_ready", "vault_state"]


def secrets_ready(home: Home, options: Options) -> Options:
    """Return the options with a key for the sealed file; one is made in the home where none was named.

    Raises:
        Precondition: `SETTING_INVALID`.
    """
    if not options.secrets:
        return options
    from isthmus.kit.vault import Place

    place = Place.of(options.secrets)
    if place.provider == "openbao":
        message = "Say where your OpenBao is with --vault-addr; --secrets is for other places."
        raise Precondition("SETTING_INVALID", message)
    if place.provider != "file":
        return options
    path = Path(place.address).expanduser().absolute()
    key_file = Path(options.secrets_key_file) if options.secrets_key_file else home_key(home)
    return replace(options, secrets=f"file:{path}", secrets_key_file=str(key_file))


def home_key(home: Home) -> Path:
    """Return the file with the home's own key for sealed files; it is made with the first one."""
    from isthmus.kit.vault.sealed_file import new_key

    key_file = home.keys / "secrets.key"
    if not key_file.exists():
        home.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(key_file, new_key())
    return key_file


def vault_state(home: Home, options: Options) -> dict[str, object]:
    """Tell which provider keeps secrets, where, and how it is; never raises."""
    place = options.secrets or (f"openbao:{options.vault_addr}" if options.vault_addr else "openbao")
    key_file = Path(options.secrets_key_file) if options.secrets_key_file else None
    token_file = Path(options.vault_token_file) if options.vault_token_file else None
    try:
        if options.vault_addr and not options.secrets and token_file is None:
            return _state_by_role(options)
        archive = archive_of(home, place, key_file, token_file, ca_file=_ca_file(options))
    except Fault as error:
        provider, _, where = place.partition(":")
        return {"provider": provider, "place": where, "usable": False, "text": error.message}

    async def asked() -> dict[str, object]:
        state = await archive.state()
        await archive.close()
        return {
            "provider": state.provider,
            "place": state.place,
            "usable": state.is_usable,
            "text": state.text,
        }

    return asyncio.run(asked())


def _state_by_role(options: Options) -> dict[str, object]:
    """Ask a vault outside as the credentials service does."""
    from isthmus.kit.vault import AppRole
    from isthmus.kit.vault.openbao import OpenBaoVault
    from isthmus.local.backends.vault_roles import RoleFiles

    files = RoleFiles.within(Path(options.vault_roles), "credentials")
    login = AppRole(files.role_id, files.secret_id)
    vault = OpenBaoVault(options.vault_addr, login, service="credentials", ca_file=_ca_file(options))
    state = asyncio.run(vault.state())
    return {"provider": state.provider, "place": state.place, "usable": state.is_usable, "text": state.text}


def _ca_file(options: Options) -> Path | None:
    return Path(options.vault_ca_file) if options.vault_ca_file else None


def archive_of(
    home: Home, text: str, key_file: Path | None, token_file: Path | None, *, ca_file: Path | None = None
) -> "Archive":
    """Return all secrets of a place, for reading or for copying them.

    Args:
        home: Whose OpenBao is meant where no address is given.
        text: The place.
        key_file: Key of a sealed file.
        token_file: Token for an OpenBao.
        ca_file: Authorities that vouch for it; by default those of the settings.

    Raises:
        Fault: `SETTING_INVALID`, `SETTING_MISSING`.
    """
    from isthmus.kit import ServiceSettings
    from isthmus.kit.vault import Place, open_archive
    from isthmus.kit.vault.openbao_archive import OpenBaoArchive

    place = Place.of(text)
    if place.provider == "openbao" and not place.address and token_file is None:
        port = read_json(home.run / "ports.json").get("openbao")
        if port is None:
            message = f"No OpenBao came along with the mesh in {home.root}: give its address, `openbao:URL`."
            raise Precondition("SETTING_MISSING", message)
        root = home.root / "openbao" / "root.json"
        return OpenBaoArchive(
            f"https://{HOST}:{port}",
            lambda: str(json.loads(root.read_text())["root_token"]),
            vault_authority_file(home.root),
        )
    settings = ServiceSettings()
    if place.provider == "file" and key_file is None and not settings.secrets_key.get_secret_value():
        key_file = settings.secrets_key_file or home_key(home)
    given = {"secrets_key_file": key_file, "vault_token_file": token_file, "vault_ca_file": ca_file}
    known = {name: value for name, value in given.items() if value is not None}
    return open_archive(place, settings.model_copy(update=known))
