"""PostgreSQL: one schema and three roles per service, one transaction per unit of work."""

from isthmus.kit.db.database import Database
from isthmus.kit.db.provisioning import ServiceDatabase, provision, service_databases

__all__ = ["Database", "ServiceDatabase", "provision", "service_databases"]
