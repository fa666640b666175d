"""Roles and policies of the vault: what each service may reach, and no more."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from isthmus.local.names import SIGNING, WITH_VAULT

__all__ = ["ENGINES", "Request", "RoleFiles", "requests"]

ENGINES: dict[str, dict[str, Any]] = {
    "sys/mounts/secret": {"type": "kv", "options": {"version": "2"}},
    "sys/mounts/transit": {"type": "transit"},
    "sys/mounts/pki": {"type": "pki", "config": {"max_lease_ttl": "87600h"}},
    "sys/auth/approle": {"type": "approle"},
}
"""What has to be mounted, by the path that mounts it."""

_FOLDER = """\
path "secret/data/{folder}/*"     {{ capabilities = ["create", "read", "update", "patch", "delete"] }}
path "secret/metadata/{folder}/*" {{ capabilities = ["read", "list", "delete"] }}
path "secret/delete/{folder}/*"   {{ capabilities = ["update"] }}
path "secret/destroy/{folder}/*"  {{ capabilities = ["update"] }}
path "transit/encrypt/{key}"      {{ capabilities = ["create", "update"] }}
path "transit/decrypt/{key}"      {{ capabilities = ["update"] }}
"""
_NARROWING = """\
path "auth/token/create/isthmus-{service}-tenant" {{ capabilities = ["update"] }}
"""
_SIGNING = """\
path "transit/sign/{key}" {{ capabilities = ["update"] }}
path "transit/keys/{key}" {{ capabilities = ["read"] }}
"""
_TOKEN_SECONDS = 3600
_LONGEST_SECONDS = 24 * 3600
_TENANT_SECONDS = 600


@dataclass(frozen=True)
class RoleFiles:
    """Where a service finds what it logs in with."""

    role_id: Path
    secret_id: Path

    @classmethod
    def within(cls, folder: Path, service: str) -> Self:
        """Return the files of a service in a folder that holds those of all."""
        return cls(folder / f"{service}.role-id", folder / f"{service}.secret-id")


@dataclass(frozen=True)
class Request:
    """One request to the vault's API below `/v1/`, as whoever may change policies."""

    path: str
    body: dict[str, Any]


def requests(token_accessor: str) -> Iterator[Request]:
    """Tell what makes the roles of all services that keep secrets; repeating it changes nothing.

    A service's own token reaches its folder and may ask for tokens that reach one tenant's. Such a token
    carries the tenant as an alias, and the policy names the folder through it: nobody has to write a policy
    for each tenant, and no service may write policies. See
    https://openbao.org/docs/concepts/policies/#templated-policies.

    Args:
        token_accessor: Accessor of the method `token`, as `sys/auth` lists it.
    """
    tenant = f"{{{{identity.entity.aliases.{token_accessor}.name}}}}"
    for service in sorted(WITH_VAULT):
        own = _FOLDER.format(folder=f"isthmus/{service}", key=service) + _NARROWING.format(service=service)
        narrow = _FOLDER.format(folder=f"isthmus/tenants/{tenant}/{service}", key=f"{service}-{tenant}")
        yield Request(f"sys/policies/acl/isthmus-{service}", {"policy": own})
        yield Request(f"sys/policies/acl/isthmus-{service}-tenant", {"policy": narrow})
        yield Request(
            f"auth/token/roles/isthmus-{service}-tenant",
            {
                "allowed_policies": [f"isthmus-{service}-tenant"],
                "allowed_entity_aliases": ["*"],
                "token_no_default_policy": True,
                "token_explicit_max_ttl": _TENANT_SECONDS,
                "renewable": False,
            },
        )
        yield _login(service)
    for service, key in SIGNING.items():
        # Neither may it be exported nor, which needs a setting, removed.
        yield Request(f"transit/keys/{key}", {"type": "ed25519"})
        yield Request(f"sys/policies/acl/isthmus-{service}", {"policy": _SIGNING.format(key=key)})
        yield _login(service)


def _login(service: str) -> Request:
    return Request(
        f"auth/approle/role/isthmus-{service}",
        {
            "token_policies": [f"isthmus-{service}"],
            "token_ttl": _TOKEN_SECONDS,
            "token_max_ttl": _LONGEST_SECONDS,
            "secret_id_num_uses": 0,
        },
    )
