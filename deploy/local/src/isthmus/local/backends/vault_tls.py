"""The certificate of the embedded vault, which the vault cannot issue itself before it runs."""

import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from isthmus.local.backends.ports import HOST
from isthmus.local.private import private_folder, write_private

__all__ = ["VaultCertificate"]

_LOCALHOST = "localhost"
_NEXT_TRY = 30.0
_TEN_YEARS = timedelta(days=3650)
_LEFT_OF_AUTHORITY = timedelta(days=365)
# A clock that was put back a little must not make the vault unbelievable.
_SINCE = timedelta(hours=1)


class VaultCertificate:
    """An authority that vouches for one server on the loopback address, and that server's certificate.

    Nobody is told of the file with the authority's key, which nobody else may read; who talks to the vault is
    told the authority's certificate. It can vouch for nothing beyond this machine.

    Args:
        authority: File with the authority's certificate; the other files lie beside it.
        seconds: How long a certificate of the server is good for; it is replaced after half of that.
    """

    def __init__(self, authority: Path, seconds: int) -> None:
        self._authority = authority
        self._authority_key = authority.with_name("authority.key")
        self._seconds = seconds
        self._due = float("inf")
        self.server = authority.with_name("server.pem")
        """What the vault shows, and the key to it; one file, so that both change at one stroke."""

    def prepare(self) -> None:
        """Make what is missing, does not fit together or ends soon; what is good stays."""
        private_folder(self._authority.parent)
        authority, key = self._voucher()
        self._due = self._due_of_known(authority) or self._renewed(authority, key)

    def renewed(self) -> bool:
        """Replace the server's certificate where that is due, and tell whether it was.

        Raises:
            OSError: it cannot be written down; it is due again in a while.
        """
        now = time.time()
        if now < self._due:
            return False
        self._due = now + _NEXT_TRY
        self._due = self._renewed(*self._voucher())
        return True

    def _voucher(self) -> tuple[x509.Certificate, Any]:
        return self._known_authority() or self._new_authority()

    def _known_authority(self) -> tuple[x509.Certificate, Any] | None:
        try:
            certificate = x509.load_pem_x509_certificate(self._authority.read_bytes())
            key: Any = load_pem_private_key(self._authority_key.read_bytes(), None)
        except (OSError, ValueError, TypeError):
            return None
        lasts = certificate.not_valid_after_utc > datetime.now(UTC) + _LEFT_OF_AUTHORITY
        return (certificate, key) if lasts and certificate.public_key() == key.public_key() else None

    def _new_authority(self) -> tuple[x509.Certificate, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named("Isthmus vault on this machine")
        here = [x509.DNSName(_LOCALHOST), x509.IPAddress(ip_network(HOST))]
        builder = (
            _builder(name, name, key.public_key(), _TEN_YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.NameConstraints(here, None), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
        )
        certificate = _signed(builder, key)
        write_private(self._authority_key, _pem_of_key(key))
        write_private(self._authority, _pem(certificate))
        return certificate, key

    def _due_of_known(self, authority: x509.Certificate) -> float | None:
        """Return when the server's certificate has to be replaced; None where it has to be now."""
        try:
            text = self.server.read_bytes()
            certificate = x509.load_pem_x509_certificate(text)
            certificate.verify_directly_issued_by(authority)
            fits = load_pem_private_key(text, None).public_key() == certificate.public_key()
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        due = certificate.not_valid_after_utc.timestamp() - self._seconds / 2
        return due if fits and due > time.time() else None

    def _renewed(self, authority: x509.Certificate, key: Any) -> float:
        """Make a new certificate of the server; returns when it has to be replaced."""
        own = ec.generate_private_key(ec.SECP256R1())
        here = [x509.DNSName(_LOCALHOST), x509.IPAddress(ip_address(HOST))]
        lifetime = timedelta(seconds=self._seconds)
        builder = (
            _builder(_named(_LOCALHOST), authority.subject, own.public_key(), lifetime)
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        write_private(self.server, _pem_of_key(own) + _pem(_signed(builder, key)))
        return time.time() + self._seconds / 2


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SINCE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: Any) -> x509.Certificate:
    origin = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.add_extension(origin, critical=False).sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
