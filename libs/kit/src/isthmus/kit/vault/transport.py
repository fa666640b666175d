"""How the vault's client connects: whom it believes, and past which proxies."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.kit.authorities import trusting
from isthmus.kit.plaintext import is_near


def trust_of(ca_file: Path | None) -> ssl.SSLContext | None:
    """Return what checks the vault; None leaves that to the client, with the authorities it knows.

    It is the same object until the file is replaced, so whoever kept a client compares.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    return None if ca_file is None else trusting(ca_file)


def client_of(address: str, trust: ssl.SSLContext | None, timeout: float | tuple[float, float]) -> Any:
    """Return an `hvac.Client` without a token.

    Args:
        address: Where the vault listens.
        trust: What checks its certificate.
        timeout: For connecting and for the answer, in seconds.
    """
    import hvac
    import requests

    session = requests.Session()
    # Proxies that the environment names are for the way out; a vault on this machine is not behind them.
    session.trust_env = not is_near(urlsplit(address).hostname or "")
    if trust is not None:
        session.mount("https://", _adapter(trust))
    limits: Any = timeout
    return hvac.Client(url=address, timeout=limits, session=session)


def _adapter(trust: ssl.SSLContext) -> Any:
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Uses one check for all connections, where the library would read the authorities for each."""

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {"ssl_context": trust}

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            """Leave the check alone: here the library would add the authorities that it brings along."""

    return Adapter()


__all__ = ["client_of", "trust_of"]
