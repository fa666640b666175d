"""What requests have to be like, and what follows from them."""

from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit.validation import Check
from isthmus.services.credentials.domain import (
    AuthConfig,
    AuthType,
    Parameters,
    Secret,
    TokenState,
    mistakes_of,
)
from isthmus.services.credentials.messages import oauth_of, parameters_of, type_of


def in_turn(given: Parameters, held: AuthConfig) -> Parameters:
    """Let the account go on whose turn it is, where a document still names the two as they were."""
    return given.alternated if given.alternated == held.parameters else given


def state_with(auth_type: AuthType, secret: Secret) -> TokenState:
    """Tell whether tokens can be had with a new secret, or a person has to authorize it first."""
    if not auth_type.needs_authorization or secret.values.get("refresh_token"):
        return TokenState.READY
    return TokenState.AUTHORIZATION_NEEDED


def checked_type(check: Check, method: int) -> AuthType | None:
    """Read a method; None, and a violation, for one that is not kept here."""
    auth_type = type_of(method)
    if auth_type is None:
        known = ", ".join(AuthType)
        value = connector_pb2.AuthMethod.DESCRIPTOR.values_by_number.get(method)
        name = value.name if method and value else str(method) if method else "nothing"
        check.add("auth_type", "NOT_OFFERED", f"Choose one of {known}; {name} is not kept here.")
    return auth_type


def check_common(
    check: Check,
    request: pb.CreateAuthConfigRequest | pb.UpdateAuthConfigRequest,
    auth_type: AuthType | None,
    secret: Secret | None,
) -> None:
    """Check what creating and changing have in common; secrets are not repeated."""
    check.text("name", request.name, longest=100)
    check.text("description", request.description, required=False, longest=2000, lines=True)
    parameters, oauth = parameters_of(request.parameters), oauth_of(request.oauth_config)
    check.violations += mistakes_of(auth_type, parameters, oauth, secret)


__all__ = ["check_common", "checked_type", "in_turn", "state_with"]
