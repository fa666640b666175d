"""The real PostgreSQL, NATS and OpenBao as plain processes of this machine, owned by whoever starts them."""

from isthmus.local.backends.base import Backend, BackendFailed, start_all
from isthmus.local.backends.nats import EmbeddedNats
from isthmus.local.backends.openbao import EmbeddedOpenBao
from isthmus.local.backends.postgres import EmbeddedPostgres

__all__ = ["Backend", "BackendFailed", "EmbeddedNats", "EmbeddedOpenBao", "EmbeddedPostgres", "start_all"]
