"""Speaks the contract of the identity service."""

from isthmus.services.identity.servicer.access import AccessServicer
from isthmus.services.identity.servicer.devices import DeviceLoginServicer
from isthmus.services.identity.servicer.providers import ProvidersServicer
from isthmus.services.identity.servicer.quotas import QuotasServicer
from isthmus.services.identity.servicer.scim import ScimServicer
from isthmus.services.identity.servicer.servicer import IdentityServicer
from isthmus.services.identity.servicer.sessions import SessionsServicer
from isthmus.services.identity.servicer.support import SupportServicer
from isthmus.services.identity.servicer.users import UsersServicer

__all__ = [
    "AccessServicer",
    "DeviceLoginServicer",
    "IdentityServicer",
    "ProvidersServicer",
    "QuotasServicer",
    "ScimServicer",
    "SessionsServicer",
    "SupportServicer",
    "UsersServicer",
]
