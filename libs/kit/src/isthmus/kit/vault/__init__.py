"""Secrets in OpenBao or Vault: each service by a role of its own, each tenant behind a token of its own."""

from isthmus.kit.vault.login import AppRole, Login, TokenFile
from isthmus.kit.vault.vault import TenantVault, Vault

__all__ = ["AppRole", "Login", "TenantVault", "TokenFile", "Vault"]
