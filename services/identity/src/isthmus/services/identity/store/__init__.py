"""The only SQL of the identity service."""

from isthmus.services.identity.store.access import Groups, Roles
from isthmus.services.identity.store.devices import DeviceLogins
from isthmus.services.identity.store.keys import Keys
from isthmus.services.identity.store.people import People
from isthmus.services.identity.store.providers import Providers
from isthmus.services.identity.store.quotas import QuotaRows
from isthmus.services.identity.store.rows import Rows, Store
from isthmus.services.identity.store.scim import Directory, Provisioned, Search
from isthmus.services.identity.store.sessions import Sessions
from isthmus.services.identity.store.support import SupportAccesses

__all__ = [
    "DeviceLogins",
    "Directory",
    "Groups",
    "Keys",
    "People",
    "Providers",
    "Provisioned",
    "QuotaRows",
    "Roles",
    "Rows",
    "Search",
    "Sessions",
    "Store",
    "SupportAccesses",
]
