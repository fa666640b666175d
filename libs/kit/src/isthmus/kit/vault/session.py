"""Tokens of the vault: got, renewed, and narrowed to one tenant."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.kit import floors
from isthmus.kit.vault.login import Grant, Login
from isthmus.kit.vault.transport import client_of, trust_of

_CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 0.8
_TENANT_SECONDS = 600
_TENANTS = 1000
_WORN = 2 / 3
"""Share of a token's life after which it is renewed or replaced."""


@dataclass(frozen=True, repr=False)
class _Held:
    """A token, when to see to it, and how long it held at first."""

    token: str
    worn: float
    seconds: float


class VaultSession:
    """The tokens of one service; used by several threads at once.

    Args:
        address: Where the vault listens.
        login: How the service gets its own token.
        service: Name of the service; its role for tenants' tokens is `isthmus-<service>-tenant`.
        ca_file: Certificates that vouch for the vault; by default those that the system trusts.
    """

    def __init__(self, address: str, login: Login, service: str, ca_file: Path | None) -> None:
        self._address = address
        self._login = login
        self._service = service
        self._ca_file = ca_file
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._own: _Held | None = None
        self._tenants: OrderedDict[str, _Held] = OrderedDict()

    def client(self, tenant_id: str) -> Any:
        """Return this thread's `hvac.Client` with a token that still holds.

        Args:
            tenant_id: Whose secrets are to be reached; empty means the service's own.

        Raises:
            OSError: A file of the login cannot be read.
            hvac.exceptions.VaultError: The vault refuses.
        """
        client = self._bare()
        client.token = self._own_token(client)
        if tenant_id and self._login.tenants:
            client.token = self._tenant_token(client, tenant_id)
        return client

    def forget(self) -> None:
        """Get new tokens at the next call: the vault has refused one."""
        with self._lock:
            self._own = None
            self._tenants.clear()

    def _bare(self) -> Any:
        trust = trust_of(self._ca_file)
        client = getattr(self._threads, "client", None)
        if client is None or self._threads.trust is not trust:
            client = client_of(self._address, trust, (_CONNECT_SECONDS, _ANSWER_SECONDS))
            self._threads.client, self._threads.trust = client, trust
        return client

    def _own_token(self, client: Any) -> str:
        with self._lock:
            held = self._own
            if held is None or time.monotonic() > held.worn:
                held = self._own = self._renewed(client, held) or _held(self._logged_in(client))
            return held.token

    def _logged_in(self, client: Any) -> Grant:
        """Show who we are, to a server that is new enough; whoever tells no version is found out otherwise.

        Raises:
            Precondition: `SERVER_TOO_OLD`.
        """
        version = floors.of_vault(client.adapter.get("/v1/sys/health", raise_exception=False))
        if version is not None:
            floors.require(floors.OPENBAO, version)
        return self._login.login(client)

    def _renewed(self, client: Any, held: _Held | None) -> _Held | None:
        """Renew a token; nothing when the vault will not, for it lets none live for ever."""
        import hvac.exceptions as errors

        if held is None:
            return None
        client.token = held.token
        try:
            seconds = float(client.auth.token.renew_self()["auth"]["lease_duration"])
        except errors.VaultError:
            return None
        if seconds < held.seconds * _WORN:
            return None
        return _Held(held.token, time.monotonic() + seconds * _WORN, held.seconds)

    def _tenant_token(self, client: Any, tenant_id: str) -> str:
        with self._lock:
            held = self._tenants.get(tenant_id)
        if held is None or time.monotonic() > held.worn:
            held = _held(self._for_tenant(client, tenant_id))
            with self._lock:
                self._tenants[tenant_id] = held
                while len(self._tenants) > _TENANTS:
                    self._tenants.popitem(last=False)
        return held.token

    def _for_tenant(self, client: Any, tenant_id: str) -> Grant:
        """Have a token made whose policy names the tenant's folder through the alias it carries."""
        path = f"/v1/auth/token/create/isthmus-{self._service}-tenant"
        wish = {"entity_alias": tenant_id, "ttl": f"{_TENANT_SECONDS}s", "renewable": False}
        granted = client.adapter.post(path, json=wish)["auth"]
        return Grant(granted["client_token"], float(granted["lease_duration"]))


def _held(grant: Grant) -> _Held:
    worn = time.monotonic() + grant.seconds * _WORN if grant.seconds else float("inf")
    return _Held(grant.token, worn, grant.seconds)


__all__ = ["VaultSession"]
