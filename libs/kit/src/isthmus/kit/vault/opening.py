"""Opens the vault that the settings name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isthmus.kit.plaintext import check_vault
from isthmus.kit.vault.login import AppRole, Login, TokenFile
from isthmus.kit.vault.port import Archive, Vault
from isthmus.resilience.faults import Precondition
from pydantic import SecretStr

OPENBAO, AZURE, ENVIRONMENT, FILE = "openbao", "azure", "environment", "file"


class VaultSettings(Protocol):
    """What is read of a service's settings."""

    secrets: str
    secrets_key: SecretStr
    secrets_key_file: Path | None
    vault_addr: str
    vault_role_id_file: Path | None
    vault_secret_id_file: Path | None
    vault_token_file: Path | None
    vault_ca_file: Path | None
    allow_plaintext: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A provider, and where it is."""

    provider: str
    address: str

    @classmethod
    def of(cls, text: str) -> "Place":
        """Read `openbao`, `openbao:URL`, `azure:URL`, `environment` or `file:PATH`.

        Raises:
            Precondition: `SETTING_INVALID`.
        """
        provider, _, address = text.strip().partition(":")
        needed = provider in (AZURE, FILE)
        if provider not in (OPENBAO, AZURE, ENVIRONMENT, FILE) or (needed and not address):
            message = (
                f"{text!r} names no place for secrets; give `openbao`, `azure:https://NAME.vault.azure.net`, "
                "`environment` or `file:/PATH`."
            )
            raise Precondition("SETTING_INVALID", message)
        return cls(provider, address)


def open_vault(settings: VaultSettings, service: str) -> Vault | None:
    """Return the vault of a service; None where the settings name none.

    Args:
        settings: The service's settings.
        service: Its name.

    Raises:
        Precondition: `SETTING_INVALID`, `SETTING_MISSING`, `PLAINTEXT_EXPOSED`.
    """
    place = Place.of(settings.secrets or OPENBAO)
    if place.provider == OPENBAO:
        return _openbao(settings, place.address or settings.vault_addr, service)
    from isthmus.kit.vault.shelf import ShelfVault

    return ShelfVault(_shelf(place, settings), service=service)


def open_archive(place: Place, settings: VaultSettings) -> Archive:
    """Return all secrets of a place, for copying them.

    Args:
        place: Which.
        settings: Keys and tokens; OpenBao wants a token file here, one that reaches all of `secret/isthmus/`.

    Raises:
        Precondition: `SETTING_INVALID`, `SETTING_MISSING`.
    """
    if place.provider == OPENBAO:
        from isthmus.kit.vault.openbao_archive import OpenBaoArchive

        address = place.address or settings.vault_addr
        if not address or settings.vault_token_file is None:
            message = (
                "Set ISTHMUS_VAULT_ADDR, and ISTHMUS_VAULT_TOKEN_FILE with a token for all secrets of ours."
            )
            raise Precondition("SETTING_MISSING", message)
        check_vault(address, allow_plaintext=settings.allow_plaintext)
        return OpenBaoArchive(address, settings.vault_token_file.read_text, settings.vault_ca_file)
    archive: Archive = _shelf(place, settings)
    return archive


def key_of(settings: VaultSettings) -> Callable[[], str]:
    """Return what gives the key of a sealed file; a file is read again whenever the key is needed."""
    file, given = settings.secrets_key_file, settings.secrets_key
    return file.read_text if file is not None else given.get_secret_value


def _openbao(settings: VaultSettings, address: str, service: str) -> Vault | None:
    login: Login
    if not address:
        return None
    if settings.vault_role_id_file is not None and settings.vault_secret_id_file is not None:
        login = AppRole(settings.vault_role_id_file, settings.vault_secret_id_file)
    elif settings.vault_token_file is not None:
        login = TokenFile(settings.vault_token_file)
    else:
        return None
    from isthmus.kit.vault.openbao import OpenBaoVault

    check_vault(address, allow_plaintext=settings.allow_plaintext)
    return OpenBaoVault(address, login, service=service, ca_file=settings.vault_ca_file)


def _shelf(place: Place, settings: VaultSettings) -> Any:
    if place.provider == AZURE:
        from isthmus.kit.vault.azure import AzureKeyVault
        from isthmus.kit.vault.azure_login import AzureLogin

        return AzureKeyVault(place.address, AzureLogin(os.environ))
    if place.provider == ENVIRONMENT:
        from isthmus.kit.vault.environment import EnvironmentArchive

        return EnvironmentArchive(os.environ)
    from isthmus.kit.vault.sealed_file import SealedFile

    if settings.secrets_key_file is None and not settings.secrets_key.get_secret_value():
        message = "Set ISTHMUS_SECRETS_KEY_FILE, or ISTHMUS_SECRETS_KEY, to the key of the file of secrets."
        raise Precondition("SETTING_MISSING", message)
    return SealedFile(Path(place.address).expanduser(), key_of(settings))


__all__ = ["AZURE", "ENVIRONMENT", "FILE", "OPENBAO", "Place", "VaultSettings", "open_archive", "open_vault"]
