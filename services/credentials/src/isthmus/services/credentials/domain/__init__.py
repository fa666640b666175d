"""The rules of credentials, in plain Python."""

from isthmus.services.credentials.domain.authorization import (
    Pending,
    Proof,
    address_of,
    hash_of,
    interval_of,
    refuse_foreign,
    slower,
)
from isthmus.services.credentials.domain.model import AuthConfig, AuthType, Lease, Parameters, Secret
from isthmus.services.credentials.domain.oauth import (
    BASIC,
    NONE,
    POST,
    PRIVATE_KEY_JWT,
    OAuth,
    is_safe_url,
)
from isthmus.services.credentials.domain.rules import (
    mistakes_of,
    refuse_expired,
    refuse_revoked,
    revoked,
    tokens_path,
)
from isthmus.services.credentials.domain.tokens import (
    Grant,
    Token,
    TokenRow,
    TokenState,
    document_of,
    lifetime_of,
    pause_after,
    token_of,
)

__all__ = [
    "BASIC",
    "NONE",
    "POST",
    "PRIVATE_KEY_JWT",
    "AuthConfig",
    "AuthType",
    "Grant",
    "Lease",
    "OAuth",
    "Parameters",
    "Pending",
    "Proof",
    "Secret",
    "Token",
    "TokenRow",
    "TokenState",
    "address_of",
    "document_of",
    "hash_of",
    "interval_of",
    "is_safe_url",
    "lifetime_of",
    "mistakes_of",
    "pause_after",
    "refuse_expired",
    "refuse_foreign",
    "refuse_revoked",
    "revoked",
    "slower",
    "token_of",
    "tokens_path",
]
