"""Small rules about names and times."""

import re
from datetime import datetime, timedelta

DEFAULT_KEY_LIFE = timedelta(days=365)
LONGEST_KEY_LIFE = timedelta(days=3653)
_TENANT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def is_tenant_name(name: str) -> bool:
    """Tell whether a name has only lower-case letters, digits and inner dashes, at most 63."""
    return _TENANT_NAME.fullmatch(name) is not None


def expiry_trouble(expire_time: datetime, now: datetime) -> str:
    """Say what is wrong with the end chosen for a key; empty when nothing is."""
    if expire_time <= now:
        return "Choose an `expire_time` in the future."
    if expire_time > now + LONGEST_KEY_LIFE:
        return "Choose an `expire_time` at most ten years ahead."
    return ""


__all__ = ["DEFAULT_KEY_LIFE", "LONGEST_KEY_LIFE", "expiry_trouble", "is_tenant_name"]
