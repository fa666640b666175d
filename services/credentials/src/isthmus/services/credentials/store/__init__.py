"""The only SQL of the credentials service."""

from isthmus.services.credentials.store.authorizations import AuthorizationRows
from isthmus.services.credentials.store.configs import Rows
from isthmus.services.credentials.store.rotations import Held, RotationRows
from isthmus.services.credentials.store.tokens import TokenRows

__all__ = ["AuthorizationRows", "Held", "RotationRows", "Rows", "TokenRows"]
