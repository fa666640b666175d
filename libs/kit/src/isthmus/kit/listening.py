"""Where a process listens: for the mesh with mutual TLS, for people and programs with a key beside it."""

import grpc.aio
from isthmus.kit.certificates import Certificates
from isthmus.kit.plaintext import is_near
from isthmus.kit.settings import ServiceSettings
from isthmus.resilience.faults import Precondition


def listen(server: grpc.aio.Server, settings: ServiceSettings, certificates: Certificates | None) -> int:
    """Open the ports that the settings name; return the one for the mesh.

    Args:
        server: Not started yet.
        settings: Name the addresses.
        certificates: None listens without TLS, which is for one machine or a protected network.

    Raises:
        Precondition: `PLAINTEXT_EXPOSED`, others than this machine would be spoken to in plain text, or
            `ADDRESS_UNAVAILABLE`, an address cannot be listened on.
    """
    credentials = None
    if certificates is not None:
        credentials = certificates.server_credentials(of_callers=True)
    elif not _is_protected(settings.listen, settings):
        raise _exposed(settings.listen)
    port = _open(server, settings.listen, credentials, "listen")
    if settings.users_listen:
        _listen_to_users(server, settings, certificates)
    return port


def _listen_to_users(
    server: grpc.aio.Server, settings: ServiceSettings, certificates: Certificates | None
) -> None:
    """Let in who has a key or a session and no certificate; in plain text where nobody else listens."""
    credentials = None
    if not _is_protected(settings.users_listen, settings):
        if certificates is None:
            raise _exposed(settings.users_listen)
        credentials = certificates.server_credentials(of_callers=False)
    _open(server, settings.users_listen, credentials, "users_listen")


def _open(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None, path: str
) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        message = f"Choose another address than {address}; it cannot be listened on."
        raise Precondition("ADDRESS_UNAVAILABLE", message, path=path) from error


def _is_protected(address: str, settings: ServiceSettings) -> bool:
    if settings.allow_plaintext or address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0]
    return bool(host) and is_near(host)


def _exposed(address: str) -> Precondition:
    message = (
        f"Listen on 127.0.0.1 instead of {address}, set ISTHMUS_TLS_CERT_FILE, ISTHMUS_TLS_KEY_FILE and "
        "ISTHMUS_TLS_CA_FILE, or set ISTHMUS_ALLOW_PLAINTEXT in a protected network."
    )
    return Precondition("PLAINTEXT_EXPOSED", message, path="listen")


__all__ = ["listen"]
