"""Certificates by which processes of the mesh know one another, followed when they are written anew."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from isthmus.kit.logs import logger
from isthmus.resilience.faults import NotAuthenticated, Precondition

if TYPE_CHECKING:
    from isthmus.kit.settings import ServiceSettings

_SOON = 1 / 6
_HUB = "hub"

_log = logger(__name__)


def spiffe_id(subject: str, domain: str) -> str:
    """Return the name that a certificate of `service:registry` or `host:files` bears.

    Args:
        subject: The same that mesh tokens and the trust file use.
        domain: The mesh's trust domain.
    """
    kind, _, name = subject.partition(":")
    return f"spiffe://{domain}/{kind}/{name}"


def dns_name(subject: str, domain: str) -> str:
    """Return the name beside the SPIFFE id, by which gRPC and other TLS libraries check a server."""
    kind, _, name = subject.partition(":")
    return f"{name}.{kind}.{domain}"


def serving(connector_id: str) -> str:
    """Return which process serves a connector: its host, or the records service, which is the hub."""
    return "service:records" if connector_id == _HUB else f"host:{connector_id}"


@dataclass(frozen=True, slots=True, repr=False)
class _Held:
    """What the files said when they were last read."""

    stamp: tuple[tuple[int, int], ...]
    certificate: bytes
    key: bytes
    authorities: bytes
    begins: float
    expires: float


class Certificates:
    """This process's certificate, its key, and the authorities whose certificates it accepts.

    Args:
        certificate_file: PEM of the certificate, with what stands between it and the authority.
        key_file: PEM of its private key; may be the same file.
        ca_file: PEM of the authorities.
        domain: The mesh's trust domain.

    Raises:
        Precondition: `CERTIFICATE_UNUSABLE`, a file cannot be read or the key is another's, or
            `CERTIFICATE_EXPIRED`.
    """

    def __init__(self, certificate_file: Path, key_file: Path, ca_file: Path, *, domain: str) -> None:
        self._files = (certificate_file, key_file, ca_file)
        self._domain = domain
        self._held = self._read()
        self._warned = 0.0
        self._credentials: tuple[_Held, grpc.ChannelCredentials] | None = None
        self.judge()

    @classmethod
    def of(cls, settings: "ServiceSettings") -> "Certificates | None":
        """Return what the settings name; None where they name nothing.

        Raises:
            Precondition: `TLS_INCOMPLETE`, one of the three files is not named.
        """
        files = (settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file)
        if not any(files):
            return None
        certificate, key, authorities = files
        if certificate is None or key is None or authorities is None:
            message = (
                "Set ISTHMUS_TLS_CERT_FILE, ISTHMUS_TLS_KEY_FILE and ISTHMUS_TLS_CA_FILE, or none of them."
            )
            raise Precondition("TLS_INCOMPLETE", message)
        return cls(certificate, key, authorities, domain=settings.trust_domain)

    @property
    def expires(self) -> float:
        """Until when the certificate is good, in Unix seconds."""
        return self._held.expires

    def look(self) -> bool:
        """Take what was written anew; tells whether there was anything.

        Files that are being replaced, or do not belong together yet, leave the old ones in use.
        """
        try:
            if self._stamp() == self._held.stamp:
                return False
            self._held = self._read()
        except (OSError, Precondition) as error:
            _log.warning("certificate not taken", reason=getattr(error, "reason", ""), why=str(error))
            return False
        return True

    def judge(self) -> None:
        """Complain once when the certificate ends soon.

        Raises:
            Precondition: `CERTIFICATE_EXPIRED`, it has ended.
        """
        held, now = self._held, time.time()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(held.expires))
        if now >= held.expires:
            message = (
                f"The certificate in {self._files[0]} has expired at {until}; nobody accepts it. "
                "Have it issued anew; it is used as soon as it is there."
            )
            raise Precondition("CERTIFICATE_EXPIRED", message)
        if held.expires - now < (held.expires - held.begins) * _SOON and self._warned != held.expires:
            self._warned = held.expires
            _log.warning("certificate ends soon", until=until, file=str(self._files[0]))

    async def follow(self, renewed: Callable[[], None], pause: float) -> None:
        """Look for new files again and again.

        Args:
            renewed: Called when there are some.
            pause: Seconds between two looks.

        Raises:
            Precondition: as for `judge`.
        """
        taken = self._held.stamp
        while True:
            self.look()
            self.judge()
            if self._held.stamp != taken:
                taken = self._held.stamp
                _log.info("certificate renewed", expires=round(self.expires))
                renewed()
            await asyncio.sleep(pause)

    def server_credentials(self, *, of_callers: bool) -> grpc.ServerCredentials:
        """Return what a server listens with; each connection is opened with the newest certificate.

        Args:
            of_callers: Admit only callers who show a certificate of the authorities.
        """
        given = self._held

        def newest() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            self.look()
            if self._held is given:
                return None
            given = self._held
            return _configuration(given)

        made: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            newest,  # type: ignore[arg-type] # None means the one before
            of_callers,
        )
        return made

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what channels are opened with; the same object until the files change."""
        held = self._held
        if self._credentials is None or self._credentials[0] is not held:
            made = grpc.ssl_channel_credentials(held.authorities, held.key, held.certificate)
            self._credentials = (held, made)
        return self._credentials[1]

    def channel_options(self, subject: str) -> tuple[tuple[str, Any], ...]:
        """Return the options of a channel on which only this process is accepted."""
        return (("grpc.ssl_target_name_override", dns_name(subject, self._domain)),)

    def require(self, context: Any, subject: str) -> None:
        """Insist that the certificate of a connection names who the token of a call names.

        A token that was seen or stolen is of no use without the key of the process it belongs to.

        Raises:
            NotAuthenticated: `CERTIFICATE_MISMATCH`.
        """
        shown = context.auth_context().get("x509_subject_alternative_name", ())
        if spiffe_id(subject, self._domain).encode() not in shown:
            message = (
                f"Call as {subject} over mutual TLS with a certificate that names "
                f"{spiffe_id(subject, self._domain)}; this connection shows another one or none."
            )
            raise NotAuthenticated("CERTIFICATE_MISMATCH", message)

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        return tuple((status.st_mtime_ns, status.st_ino) for status in (file.stat() for file in self._files))

    def _read(self) -> _Held:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            stamp = self._stamp()
            certificate, key, authorities = (file.read_bytes() for file in self._files)
            found = x509.load_pem_x509_certificate(certificate)
            belongs = load_pem_private_key(key, None).public_key() == found.public_key()
            x509.load_pem_x509_certificates(authorities)
        except (OSError, ValueError, TypeError) as error:
            names = ", ".join(dict.fromkeys(map(str, self._files)))
            message = f"Put certificate, key and authorities in PEM into {names}: {error}."
            raise Precondition("CERTIFICATE_UNUSABLE", message) from error
        if not belongs:
            message = f"The key in {self._files[1]} is not that of the certificate in {self._files[0]}."
            raise Precondition("CERTIFICATE_UNUSABLE", message)
        begins, expires = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
        return _Held(stamp, certificate, key, authorities, begins, expires)


def _configuration(held: _Held) -> grpc.ServerCertificateConfiguration:
    made: grpc.ServerCertificateConfiguration = grpc.ssl_server_certificate_configuration(
        [(held.key, held.certificate)], held.authorities
    )
    return made


__all__ = ["Certificates", "dns_name", "serving", "spiffe_id"]
