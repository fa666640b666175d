"""The vault as the mesh's certificate authority: one role for each process, which names nobody else."""

from collections.abc import Iterable, Iterator

from isthmus.kit.certificates import dns_name, spiffe_id
from isthmus.local.backends.vault_roles import Request
from isthmus.local.names import HUB, LAUNCHER, NATS, SERVICES

__all__ = ["AUTHORITY", "DOMAIN", "PKI", "is_server", "issuer", "role_of", "role_requests", "subjects"]

DOMAIN = "isthmus.local"
"""Trust domain of the mesh's names."""
PKI = "pki"
"""Where the engine is mounted."""
_TEN_YEARS = "87600h"
_LONGEST = "168h"

AUTHORITY = Request(
    f"{PKI}/root/generate/internal",
    {"common_name": "Isthmus mesh", "key_type": "ec", "key_bits": 256, "ttl": _TEN_YEARS},
)
"""Makes the authority, whose key never leaves the vault; to be sent once."""

_ISSUER_POLICY = f'path "{PKI}/issue/isthmus-*" {{ capabilities = ["update"] }}\n'
_TOKEN_SECONDS = 300


def subjects(connectors: Iterable[str]) -> list[str]:
    """List the processes of a mesh with these connectors."""
    services = [f"service:{name}" for name in (*SERVICES, LAUNCHER)]
    return [*services, NATS, *(f"host:{name}" for name in sorted({*connectors, HUB}))]


def role_of(subject: str) -> str:
    """Return the name of the role that issues certificates of a process."""
    return f"isthmus-{subject.replace(':', '-')}"


def is_server(subject: str) -> bool:
    """Tell whether a certificate is for a back end, which is known by its address as well as by its name."""
    return subject.startswith("server:")


def role_requests(names: Iterable[str]) -> Iterator[Request]:
    """Tell what makes the role of each process; repeating it changes nothing.

    A role issues the names of one process only, so who may use it can be nobody else.
    """
    for subject in names:
        yield Request(
            f"{PKI}/roles/{role_of(subject)}",
            {
                "allowed_uri_sans": [spiffe_id(subject, DOMAIN)],
                "allowed_domains": [dns_name(subject, DOMAIN)],
                "allow_bare_domains": True,
                "allow_subdomains": False,
                "allow_localhost": is_server(subject),
                "allow_ip_sans": is_server(subject),
                "key_type": "ec",
                "key_bits": 256,
                "max_ttl": _LONGEST,
                "not_before_duration": "60s",
                "no_store": True,
            },
        )


def issuer() -> Iterator[Request]:
    """Tell what lets the launcher have certificates issued; it reaches nothing else in the vault."""
    yield Request(f"sys/policies/acl/isthmus-{LAUNCHER}", {"policy": _ISSUER_POLICY})
    yield Request(
        f"auth/approle/role/isthmus-{LAUNCHER}",
        {
            "token_policies": [f"isthmus-{LAUNCHER}"],
            "token_ttl": _TOKEN_SECONDS,
            "token_max_ttl": _TOKEN_SECONDS,
            "secret_id_num_uses": 0,
        },
    )
