"""Secrets behind one port: OpenBao or Vault, Azure Key Vault, the environment, or a file that a key seals."""

from isthmus.kit.vault.login import AppRole, Login, TokenFile
from isthmus.kit.vault.opening import Place, open_archive, open_vault
from isthmus.kit.vault.port import Archive, Folder, TenantVault, Vault, VaultState

__all__ = [
    "AppRole",
    "Archive",
    "Folder",
    "Login",
    "Place",
    "TenantVault",
    "TokenFile",
    "Vault",
    "VaultState",
    "open_archive",
    "open_vault",
]
