"""What it costs to find out whether an API key is the right one: `python tests/bench/bench_keys.py`.

Measured is what the identity service does with a key whose record it has read: taking it apart, the keyed
hash, the comparison in constant time, and whether key and account still count. Who asked within the last five
seconds is not asked about again at all.
"""

import sys
import time
from datetime import UTC, datetime, timedelta

from isthmus.services.identity.domain import Access, ApiKey, KeyRecord, ServiceAccount, mint, parse, verify

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_KEY_ID = "key_01k0000000000000000000000a"
_PEPPER = bytes(range(32))
_CALLS = 20_000
_ROUNDS = 5


def microseconds() -> float:
    """The least processor time for one key over some rounds."""
    text, digest = mint(_KEY_ID, _PEPPER)
    key = ApiKey("tnt_1", _KEY_ID, "svc_1", "ci", digest, _NOW + timedelta(days=1), "svc_0", _NOW)
    holder = ServiceAccount("tnt_1", "svc_1", "ci", "", ("auditor",), False, "svc_0", _NOW, _NOW)
    record = KeyRecord(key, holder, Access(("auditor",), ()))
    found = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(_CALLS):
            verify(parse(text), record, _PEPPER, _NOW)
        found.append((time.process_time() - begun) / _CALLS * 1e6)
    return min(found)


if __name__ == "__main__":
    sys.stdout.write(f"verifying an API key: {microseconds():.1f} µs; it may take 1,000\n")
